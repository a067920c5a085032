#include "worker/proto/subjects.h"

#include "worker/proto/handshake_text.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"
#include "worker/settings.h"

namespace beamgate::proto {

hook::Subject Subjects::of(const record::Record& record) {
  hook::Subject subject;
  subject.uid = record.uid;
  subject.listener = listener_of(record.listen_id);
  subject.user = record::text_of(context_.arena, record.user);
  subject.state = record::text_of(context_.arena, record.app_state);
  subject.forward_fields = decode_handshake(record::text_of(context_.arena, record.handshake)).forward_fields;
  return subject;
}

std::string_view Subjects::publish_channel_of(const record::Record& record) const {
  return decode_handshake(record::text_of(context_.arena, record.handshake)).publish_channel;
}

const std::string& Subjects::listener_of(uint32_t listen_id) {
  const auto known = listeners_.find(listen_id);
  if (known != listeners_.end()) return known->second;
  for (const config::Server& server : context_.settings.current().http.servers) {
    for (const config::Listen& listen : server.listens) {
      if (listen.id == listen_id) return listeners_[listen_id] = listen.address.text;
    }
  }
  static const std::string kUnknown = "unknown";  // A reload has removed it.
  return kUnknown;
}

std::string message_id(uint64_t uid, uint32_t sequence) {
  return "msg_" + record::format_uid(uid) + "_" + std::to_string(sequence);
}

std::string connect_id(uint64_t uid, uint32_t requests_before) {
  return "con_" + record::format_uid(uid) + "_" + std::to_string(requests_before);
}

std::string subscribe_id(uint64_t uid, uint32_t exchange, size_t index) {
  return "sub_" + record::format_uid(uid) + "_" + std::to_string(exchange) + "_" + std::to_string(index);
}

}  // namespace beamgate::proto
