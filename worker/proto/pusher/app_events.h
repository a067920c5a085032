// App events: what an app's webhook is told, in Pusher's form (hook/pusher_batch.h), where the app wants to know.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
// Limits     The webhook's: event_queue, batches, retries.  cache_miss of a channel is told once in kCacheMissMs, for
//            kMissesMax channels; of more of them each time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/config/model.h"
#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/context.h"

namespace beamgate::pusher {

class AppEvents {
 public:
  static constexpr int64_t kCacheMissMs = 10'000;
  static constexpr size_t kMissesMax = 10'000;

  explicit AppEvents(Context& context) : context_(context) {}

  // user: empty leaves it out.
  void client_event(const config::App& app, std::string_view channel, std::string_view event, std::string_view data,
                    std::string_view socket_id, std::string_view user);
  void cache_miss(const config::App& app, std::string_view channel);

  // Of a channel by its name on the node: every app with its prefix is told.
  void subscription_count(std::string_view channel, uint64_t count);
  // The node's changes that this worker was given to tell.
  void on_channel_change(const ipc::ChannelChange& change);
  void on_user_change(const ipc::UserChange& change);

 private:
  void post(const config::App& app, config::AppEvent kind, const json::Value& event);
  void post_to_all(std::string_view prefix, config::AppEvent kind, const json::Value& event);

  Context& context_;
  std::unordered_map<std::string, int64_t> missed_;  // By channel on the node: monotonic time of the last one told.
};

}  // namespace beamgate::pusher
