// HTTP/1 session: a client's bytes are answered with the same bytes wherever the network cuts them.
#include "common/base/assert.h"
#include "tests/fuzz/fuzzed_worker.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kBytesMax = 4096;

FuzzedWorker& worker() {
  static FuzzedWorker one(
      "http { client_max_body_size 512; large_client_header_buffers 4 1k; keepalive_requests 5; "
      "server { listen 127.0.0.1:0; error_page 404 /gone; error_page 413 = @big;"
      " location / { return 200 \"$request_method $uri $args\"; }"
      " location /old { rewrite ^/old/(.*)$ /new/$1?a=$1 last; }"
      " location = /moved { return 301 /elsewhere$is_args$args; }"
      " location = /gone { internal; return 404 gone; }"
      " location @big { return 413 big; }"
      " location = /echo { websocket echo; websocket_ping_interval 0; } } }");
  return one;
}

// Of answers with the clock in them only the rest is compared, and of a WebSocket only its beginning: the reason of a Close
// says where a text went wrong as far as it has come.
std::string without_dates(std::string text) {
  const size_t switched = text.find("HTTP/1.1 101 ");
  if (switched != text.npos) text.resize(std::min(text.find("\r\n\r\n", switched), text.size()));
  for (size_t at = text.find("\r\nDate: "); at != text.npos; at = text.find("\r\nDate: ", at + 1)) {
    text.erase(at + 2, std::min(text.find("\r\n", at + 2), text.size()) - at);
  }
  return text;
}

std::string answers(std::string_view bytes, Cut cut) {
  worker().connect();
  std::string out;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    worker().send(piece);
    worker().turn();
    out += worker().receive();
    return true;
  });
  worker().turn(6);
  out += worker().receive();
  worker().shut_down();
  worker().turn(2);
  out += worker().receive();
  worker().finish();
  return without_dates(out);
}

}  // namespace

FUZZ_TARGET(http1_session) {
  if (bytes.size() > kBytesMax) return;
  const std::string whole = answers(bytes, Cut::Whole);
  BG_ASSERT(whole.empty() || whole.starts_with("HTTP/1.1 "));
  BG_ASSERT(answers(bytes, Cut::Unevenly) == whole);
}

}  // namespace beamgate::fuzz
