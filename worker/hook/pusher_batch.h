// Pusher batch: events as Pusher's webhooks bring them, for a config::Webhook with a pusher_key.
//
// Source   Pusher Channels webhooks: {"time_ms":N,"events":[...]}, application/json and nothing behind it, with
//          X-Pusher-Key and X-Pusher-Signature (HMAC-SHA256 of the body under the app's secret, in hex).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/config/model.h"
#include "worker/hook/request_head.h"

namespace beamgate::hook {

// events: JSON objects, with commas between them.
std::string body_of_pusher_batch(std::string_view events, int64_t now_ms);
RequestHead head_of_pusher_batch(const config::Webhook& webhook, std::string_view body);

}  // namespace beamgate::hook
