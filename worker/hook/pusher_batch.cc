#include "worker/hook/pusher_batch.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "common/version.h"

namespace beamgate::hook {

std::string body_of_pusher_batch(std::string_view events, int64_t now_ms) {
  return "{\"time_ms\":" + std::to_string(now_ms) + ",\"events\":[" + std::string(events) + "]}";
}

RequestHead head_of_pusher_batch(const config::Webhook& webhook, std::string_view body) {
  RequestHead head;
  head.add("content-type", "application/json");
  head.suppress("accept");
  head.suppress("expect");
  head.add("user-agent", "beamgate/" BEAMGATE_VERSION);
  head.add("x-pusher-key", webhook.pusher_key);
  head.add("x-pusher-signature", to_hex(crypto::hmac_sha256(webhook.pusher_secret, body)));
  return head;
}

}  // namespace beamgate::hook
