// Pusher API: a request counts only with the application's signature; what its body asks for keeps to the limits.
// Input: the query, LF, the body.  It is tried as it came, and signed as a library would.
#include <algorithm>

#include "common/base/assert.h"
#include "common/crypto/crypto.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/api/pusher/event_calls.h"
#include "worker/api/pusher/pusher_api.h"
#include "worker/api/pusher/signed_request.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/signature.h"

namespace beamgate::fuzz {
namespace {

using namespace api::pusher;

constexpr int64_t kNow = 1'700'000'000;
constexpr std::string_view kPath = "/apps/1/events";

config::App make_app() {
  config::App app;
  app.id = "1";
  app.key = "key";
  app.secret = "secret-secret-16";
  return app;
}

void check_signed(std::string_view query, std::string_view body) {
  static const config::App app = make_app();
  const char* refusal = refuse_request(app, {"POST", kPath, kPath, query, body}, kNow);
  // By Pusher's recipe; what the fuzzer says beside it must have no part in it twice.
  const std::string signed_query = "auth_key=key&auth_timestamp=" + std::to_string(kNow) + "&auth_version=1.0" +
                                   (body.empty() ? "" : "&body_md5=" + to_hex(crypto::md5(body)));
  const std::string signature = pusher::sign(app.secret, "POST\n" + std::string(kPath) + '\n' + signed_query);
  const std::string whole = signed_query + "&auth_signature=" + signature;
  BG_ASSERT(refuse_request(app, {"POST", kPath, kPath, whole, body}, kNow) == nullptr);
  BG_ASSERT(refuse_request(app, {"POST", kPath, kPath, whole, std::string(body) + ' '}, kNow) != nullptr);
  if (refusal == nullptr) BG_ASSERT(query.find("auth_signature") != query.npos);
}

void check_events(const EventRequest& request, size_t events_max) {
  if (request.refused.status != 0) {
    BG_ASSERT(request.events.empty() || request.refused.status >= 400);
    return;
  }
  BG_ASSERT(request.events.size() <= events_max);
  for (const Event& event : request.events) {
    BG_ASSERT(event.name.size() <= kEventNameBytesMax && event.data->bytes.size() <= 1024);
    BG_ASSERT(!event.channel.empty() && event.channel.size() <= 256);
  }
}

}  // namespace

FUZZ_TARGET(pusher_api) {
  Input input(bytes);
  const std::string_view query = input.line(), body = input.rest();
  check_signed(query, body);
  for (const auto& [key, value] : query_parameters(query, true)) BG_ASSERT(key.size() + value.size() <= query.size());
  check_events(parse_event_request(body, 1024), kChannelsMax);
  check_events(parse_batch_request(body, 1024), kBatchMax);
  const Route route = route_of(query);
  if (route.kind != Route::Kind::Unknown) BG_ASSERT(query.find("apps/") != query.npos);
}

}  // namespace beamgate::fuzz
