#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kBacklogMax = 1 << 20;
constexpr std::string_view kBacklog = "backlog=";

bool read_backlog(Setting& setting, size_t i, int& backlog) {
  const std::string_view text = setting.arg(i);
  const auto number = text.starts_with(kBacklog) ? parse_number(text.substr(kBacklog.size())) : std::nullopt;
  if (!number.has_value() || *number < 1 || *number > kBacklogMax) {
    setting.fail(i, "expected \"backlog=number\" from 1 to " + std::to_string(kBacklogMax));
    return false;
  }
  backlog = static_cast<int>(*number);
  return true;
}

void add_listen(Setting& setting) {
  Listen listen;
  for (size_t i = 1; i < setting.count(); ++i) {
    if (!read_backlog(setting, i, listen.backlog)) return;
  }
  if (setting.arg(0).starts_with("unix:") && setting.arg(0).size() > 5) {
    setting.replace(0, "unix:" + setting.loader.absolute(setting.arg(0).substr(5)));
  }
  std::vector<Address> addresses;
  std::string error;
  if (!listen_addresses(setting.arg(0), setting.loader.names, addresses, error)) return setting.fail(0, error);
  std::vector<std::string>& expansion = setting.statement.expansion;
  expansion.clear();
  for (const Address& address : addresses) {
    // A resolver may name an address twice, once for each of its sources.
    if (std::find(expansion.begin(), expansion.end(), address.text) != expansion.end()) continue;
    expansion.push_back(address.text);
    if (!setting.loader.line_listens.emplace(address.text, setting.statement.name.at).second) {
      return setting.error("a duplicate listen " + address.text);
    }
    listen.address = address;
    listen.id = static_cast<uint32_t>(stable_hash("line " + address.text));
    setting.frame.line->listens.push_back(listen);
  }
}

void set_slow_reader(Setting& setting) {
  LineServer& line = *setting.frame.line;
  if (setting.arg() == "close") {
    line.slow_reader = WebSocketAction::SlowReader::Close;
  } else if (setting.arg() == "drop_oldest") {
    line.slow_reader = WebSocketAction::SlowReader::DropOldest;
  } else {
    setting.fail(0, "expected \"close\" or \"drop_oldest\"");
  }
}

void enter_line(Setting& setting) {
  LineServer line;
  Frame frame;
  frame.scope = kLine;
  frame.parent = &setting.frame;
  frame.line = &line;
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  const auto& said = setting.statement.children;
  const bool listens = std::any_of(said.begin(), said.end(), [](const auto& child) { return child.name.text == "listen"; });
  if (!listens) return setting.error("no \"listen\" in line");
  setting.loader.config->lines.push_back(std::move(line));
}

constexpr Directive kRows[] = {
    {.name = "line",
     .scopes = kMain,
     .arity = exactly(0),
     .body = Body::Block,
     .phase = Phase::Enter,
     .repeatable = true,
     .set = enter_line,
     .help = "Serves TCP clients that speak in lines, such as netcat.  \"JOIN room\" is answered with \"OK joined "
             "room\"; from then on each line goes to everyone else in the room, and what they say comes as lines.  "
             "A room is a channel, which clients of every other protocol may share."},
    {.name = "listen",
     .scopes = kLine,
     .arity = at_least(1),
     .repeatable = true,
     .set = add_listen,
     .syntax = "address[:port] | port | unix:path [backlog=number]",
     .help = "Where clients are accepted.  Required; no server may listen there."},
    {.name = "room_prefix",
     .scopes = kLine,
     .set = store_word<&LineServer::room_prefix>,
     .syntax = "text",
     .fallback_help = "\"\"",
     .help = "What stands before a room's name in that of its channel."},
    {.name = "line_max",
     .scopes = kLine,
     .set = store_bytes<&LineServer::line_bytes_max>,
     .syntax = "size",
     .fallback = "4k",
     .min = "16",
     .max = "16k",
     .help = "Longest line of a client; a longer one is answered with an error and ends the connection."},
    {.name = "line_rate",
     .scopes = kLine,
     .set = store_number<&LineServer::rate>,
     .syntax = "number",
     .fallback = "100",
     .min = "0",
     .max = "1000000",
     .help = "Lines of one client in a second; what it says beyond that isn't read before its time.  0 sets no limit."},
    {.name = "line_send_queue",
     .scopes = kLine,
     .set = store_bytes<&LineServer::send_queue_bytes>,
     .syntax = "size",
     .fallback = "256k",
     .min = "4k",
     .max = "1g",
     .help = "Bytes that wait for one client; line_slow_reader says what happens when there are more."},
    {.name = "line_slow_reader",
     .scopes = kLine,
     .set = set_slow_reader,
     .syntax = "close | drop_oldest",
     .fallback = "close",
     .help = "close ends a connection whose queue is full; drop_oldest forgets its oldest lines, and says so."},
    {.name = "line_idle_timeout",
     .scopes = kLine,
     .set = store_time<&LineServer::idle_timeout_ms>,
     .syntax = "time",
     .fallback = "0",
     .min = "0",
     .max = "30d",
     .help = "Silence of a client after which its connection is closed; 0 never closes."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> line_directives() {
  return kRows;
}

}  // namespace beamgate::config
