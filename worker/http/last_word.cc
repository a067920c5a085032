#include "worker/http/last_word.h"

#include <cstring>
#include <string>

#include "worker/http/http_date.h"
#include "worker/http/response_head.h"

namespace beamgate::http {

using record::Record;

void leave_last_word(net::Connections& connections, Record& record, const std::vector<ResponseField>& fields,
                     std::string_view body) {
  const bool outlives = record.transport == record::Transport::Plain || record.tls != record::kNull;
  if (!outlives || record.phase != record::Phase::Http) return;
  take_back_last_word(connections, record);
  connections.touch(record);
  std::string text;
  for (const ResponseField& field : fields) write_field(field.name, field.value, text);
  text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  record::Arena& arena = connections.arena();
  record.message = arena.allocate(text.size());
  if (record.message == record::kNull) return;
  memcpy(arena.at(record.message), text.data(), text.size());
  record.message_bytes = static_cast<uint32_t>(text.size());
}

void take_back_last_word(net::Connections& connections, Record& record) {
  if (record.phase != record::Phase::Http || record.message == record::kNull) return;
  connections.touch(record);
  connections.arena().release(record.message);
  record.message = record::kNull;
  record.message_bytes = 0;
}

bool say_last_word(net::Connections& connections, Record& record) {
  if (record.message == record::kNull || (record.flags & record::kFlagExchange) == 0) return false;
  HttpDate date;
  const std::string word(connections.arena().at(record.message), record.message_bytes);
  take_back_last_word(connections, record);
  std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\nDate: ";
  head.append(date.now()).append("\r\n");
  if (!connections.send(record, head, word)) return false;
  connections.close_gracefully(record);
  return true;
}

}  // namespace beamgate::http
