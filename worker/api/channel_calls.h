// Channel calls: what the master keeps of channels: presence, history, and the channel as a resource.
//
//   GET /channels/NAME     {"channel","num_clients","num_users","epoch","offset"}: num_clients are its subscribers,
//                          num_users those that presence knows
// Owner      ApiHandler; one per worker.
// Thread     Worker loop thread only.
// Errors     NotAvailable (108) where the channel's rules keep no such thing, LimitExceeded (106) where there are too
//            many to list, UnrecoverablePosition (112) for a history of another epoch.
#pragma once

#include <functional>
#include <string_view>

#include "common/config/model.h"
#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/api/node_calls.h"
#include "worker/api/reply.h"
#include "worker/context.h"

namespace beamgate::api {

class ChannelCalls {
 public:
  static constexpr uint32_t kMembersMax = 50'000;

  ChannelCalls(Context& context, NodeCalls& nodes) : context_(context), nodes_(nodes) {}

  void presence(const json::Value& params, Done done);
  void presence_stats(const json::Value& params, Done done);
  void history(const json::Value& params, Done done);
  void history_remove(const json::Value& params, Done done);
  void look(std::string_view channel, Done done);

 private:
  using OnState = std::function<void(const ipc::ChannelState&)>;

  // False: `done` has been told.
  bool read_channel(const json::Value& params, bool (*kept)(const config::ChannelRules&), std::string_view& channel,
                    const Done& done) const;
  void ask(const ipc::Ask& question, Done done, OnState answer);

  Context& context_;
  NodeCalls& nodes_;
};

}  // namespace beamgate::api
