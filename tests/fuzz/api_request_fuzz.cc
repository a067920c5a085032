// API request: every method and resource of the server APIs, with any parameters, is answered with a status, and with JSON
// where it says so.  Input: a line "METHOD target", a line for the content type, then the body.
#include "common/base/assert.h"
#include "common/json/value.h"
#include "tests/fuzz/fuzzed_worker.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kBytesMax = 4096;

FuzzedWorker& worker() {
  static FuzzedWorker one(
      "http { app shop { id 1; key key; secret secret-secret-16; } channels room* { presence on; history 10 1m; }"
      " users { history 10 1m; } server { listen 127.0.0.1:0;"
      " location /api { api on; api_key key; }"
      " location /apps/ { pusher_api on; }"
      " location = /publish { grip_publish on; api_key key; }"
      " location = /level { log_level_switch on; }"
      " location = /status { status on; }"
      " location = /metrics { metrics on; }"
      " location / { live_page on; } } }");
  return one;
}

void check_answer(std::string_view answer) {
  if (answer.empty()) return;  // It waits for somebody who isn't there.
  BG_ASSERT(answer.starts_with("HTTP/1.1 ") && answer.size() > 12);
  const size_t end = answer.find("\r\n\r\n");
  BG_ASSERT(end != answer.npos);
  const std::string_view head = answer.substr(0, end), body = answer.substr(end + 4);
  if (head.find("Content-Type: application/json") == head.npos || body.empty()) return;
  if (head.find("chunked") != head.npos) return;
  BG_ASSERT(json::parse(body).ok() || body.find("HTTP/1.1 ") != body.npos);
}

}  // namespace

FUZZ_TARGET(api_request) {
  if (bytes.size() > kBytesMax) return;
  Input input(bytes);
  const std::string_view line = input.line(), type = input.line(), body = input.rest();
  worker().connect();
  worker().send(std::string(line) + " HTTP/1.1\r\nHost: a\r\nX-API-Key: key\r\nContent-Type: " + std::string(type) +
                "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  worker().turn(6);
  check_answer(worker().receive());
  worker().finish();
}

}  // namespace beamgate::fuzz
