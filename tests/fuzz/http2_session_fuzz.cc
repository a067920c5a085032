// HTTP/2 session: no frames a client can send hurt anything but its own connection.  Input: a client's frames; the preface
// is put in front of them.
#include "common/base/assert.h"
#include "tests/fuzz/fuzzed_worker.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kBytesMax = 8192;

FuzzedWorker& worker() {
  static FuzzedWorker one(
      "http { http2 on; client_max_body_size 512; http2_max_concurrent_streams 4; server { listen 127.0.0.1:0;"
      " location / { return 200 \"$request_method $uri $args $http_cookie\"; }"
      " location = /long { return 200 \"" + std::string(4'000, 'x') + "\"; }"
      " location = /echo { websocket echo; websocket_ping_interval 0; }"
      " location = /api/ { api on; api_key key; } } }");
  return one;
}

// RFC 9113 section 4.1: what we send is whole frames, but for the last.
void check_frames(std::string_view bytes) {
  while (bytes.size() >= 9) {
    const size_t size = static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 16 | load_be<uint16_t>(bytes.data() + 1);
    BG_ASSERT(size <= 16384 && static_cast<uint8_t>(bytes[3]) <= 12);
    bytes.remove_prefix(std::min(9 + size, bytes.size()));
  }
}

}  // namespace

FUZZ_TARGET(http2_session) {
  if (bytes.size() > kBytesMax) return;
  for (const Cut cut : {Cut::Whole, Cut::Unevenly}) {
    worker().connect();
    worker().send(kPreface);
    std::string answers;
    in_pieces(bytes, cut, [&](std::string_view piece) {
      worker().send(piece);
      worker().turn();
      answers += worker().receive();
      return true;
    });
    worker().turn(4);
    answers += worker().receive();
    check_frames(answers);
    worker().finish();
  }
}

}  // namespace beamgate::fuzz
