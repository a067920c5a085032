// Event calls: how an application publishes by Pusher's HTTP API, one event to some channels or a batch of them.
//
// Owner      PusherApi.
// Thread     Worker loop thread only.
// Order      A call is answered when the node has accepted what it publishes, in the order of the request.
// Limits     kEventNameBytesMax, kChannelsMax, kBatchMax, publication_max for an event's data (413).
// Errors     Nothing is published of a request that is wrong anywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"
#include "worker/api/pusher/answer.h"
#include "worker/api/pusher/channel_calls.h"
#include "worker/context.h"

namespace beamgate::api::pusher {

// What an event brings, once for all of its channels.
struct EventData {
  std::string bytes;
  ipc::PayloadKind kind = ipc::PayloadKind::Text;  // Json where it is some.
};

// One event for one channel.
struct Event {
  std::string channel;  // As the app knows it.
  std::string name;
  std::shared_ptr<const EventData> data;
  uint64_t except = 0;  // Connection that doesn't get it.
  Info info;
};

// The events that a body asks for; else why there are none.
struct EventRequest {
  std::vector<Event> events;
  Answer refused{0, {}};  // Status 0: it isn't.
};

inline constexpr size_t kEventNameBytesMax = 200;
inline constexpr size_t kChannelsMax = 100;
inline constexpr size_t kBatchMax = 10;

EventRequest parse_event_request(std::string_view body, uint64_t data_bytes_max);  // POST /events
EventRequest parse_batch_request(std::string_view body, uint64_t data_bytes_max);  // POST /batch_events

class EventCalls {
 public:
  EventCalls(Context& context, ChannelCalls& channels) : context_(context), channels_(channels) {}

  void run(const config::App& app, std::vector<Event>&& events, bool batch, Done done);

 private:
  struct Run;

  void publish(const std::shared_ptr<Run>& run);
  void describe(const std::shared_ptr<Run>& run);
  static void finish(Run& run);

  Context& context_;
  ChannelCalls& channels_;
};

}  // namespace beamgate::api::pusher
