// Protocol session: a client of each protocol, its application and others in its channels do what they like, in any order.
// Input: a line for the target of the first request ("/raw?room=a"; none: a line client), then a line for each event:
//   Ttext  Bbytes   a message of the client's, masked        Fbytes  bytes as they are
//   Atext           the application answers all calls; "|" ends a line of its reply
//   Pchannel text   somebody publishes                       Gtext   the same as A by GRIP
//   Ccode           the client closes                        E       it sends its FIN
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "tests/fuzz/fuzzed_worker.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "tests/unit/worker/ws/client_frames.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kBytesMax = 4096;
constexpr size_t kEventsMax = 40;

FuzzedWorker& worker() {
  static FuzzedWorker one(
      "line { listen 127.0.0.1:1; room_prefix \"r:\"; line_max 200; }\n"
      "http { webhook app { url http://127.0.0.1:1/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }\n"
      " webhook grip { url http://127.0.0.1:1/; grip on; }\n"
      " channels room* { presence on; history 10 1m; subscribe open; publish on; }\n"
      " channels asked* { subscribe webhook; webhook app; publish on; }\n"
      " app shop { id 1; key key; secret secret-secret-16; }\n"
      " server { listen 127.0.0.1:0;\n"
      "  location = /raw { websocket raw; websocket_subscribe $arg_room; websocket_publish $arg_room; }\n"
      "  location = /app { websocket raw; webhook app; }\n"
      "  location = /grip { websocket raw; webhook grip; }\n"
      "  location = /echo { websocket echo; websocket_deflate on; websocket_deflate_min 1; }\n"
      "  location /app/ { websocket pusher; }\n"
      "  location /phoenix/websocket { websocket phoenix; }\n"
      "  location /asking/websocket { websocket phoenix; webhook app; }\n"
      "  location /phoenix/longpoll { websocket phoenix; }\n"
      "  location = /centrifuge { websocket centrifuge; }\n"
      "  location = /centrifuge-app { websocket centrifuge; webhook app; }\n"
      "  location = /sse { sse room argument=channel; }\n"
      "  location = /poll { longpoll room argument=channel; } } }");
  return one;
}

std::string request(std::string_view target) {
  const bool plain = target.starts_with("/sse") || target.starts_with("/poll") || target.find("longpoll") != target.npos;
  std::string out = "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n";
  if (!plain) {
    out += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
  }
  return out + "\r\n";
}

std::string lines_of(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '|', '\n');
  return out;
}

void run_event(std::string_view event) {
  using ws::testing::client_frame;
  const char kind = event.empty() ? '\0' : event[0];
  const std::string_view rest = event.substr(std::min<size_t>(1, event.size()));
  const size_t space = std::min(rest.find(' '), rest.size());
  switch (kind) {
    case 'T':
      return worker().send(client_frame(ws::testing::kText, lines_of(rest)));
    case 'B':
      return worker().send(client_frame(ws::testing::kBinary, rest));
    case 'F':
      return worker().send(lines_of(rest));
    case 'A':
    case 'G':
      return worker().answer_calls(lines_of(rest), kind == 'G');
    case 'P':
      if (!valid_utf8(rest)) return;
      return worker().publish(rest.substr(0, space), rest.substr(std::min(space + 1, rest.size())));
    case 'C': {
      uint64_t code = 0;
      parse_decimal(rest, code);
      const char payload[] = {static_cast<char>(code >> 8), static_cast<char>(code & 255)};
      return worker().send(client_frame(ws::testing::kClose, {payload, sizeof payload}));
    }
    case 'E':
      return worker().shut_down();
    default:
      return;
  }
}

}  // namespace

FUZZ_TARGET(protocol_session) {
  if (bytes.size() > kBytesMax) return;
  Input input(bytes);
  const std::string_view target = input.line();
  worker().connect(target.empty() ? 1 : 0);
  if (!target.empty()) worker().send(request(target));
  worker().turn(3);
  for (size_t events = 0; !input.empty() && events < kEventsMax; ++events) {
    run_event(input.line());
    worker().turn(2);
    worker().receive();
  }
  worker().turn(2);
  worker().finish();
}

}  // namespace beamgate::fuzz
