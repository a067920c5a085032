// Channel calls: what Pusher's HTTP API tells of channels: which there are, how many are in them, and who.
//
// Owner      PusherApi.
// Thread     Worker loop thread only.
// Counting   Over all workers, and subscribers of every protocol; a channel is occupied while it has one.
// Limits     kCountedMax channels whose users are counted for one list, kUsersMax users of one channel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/config/model.h"
#include "common/ipc/messages.h"
#include "worker/api/node_calls.h"
#include "worker/api/pusher/answer.h"
#include "worker/context.h"

namespace beamgate::api::pusher {

class ChannelCalls {
 public:
  static constexpr size_t kCountedMax = 2'000;
  static constexpr uint32_t kUsersMax = 100'000;

  using OnAttributes = std::function<void(json::Value&&)>;  // Null: the bus was full.

  ChannelCalls(Context& context, NodeCalls& nodes) : context_(context), nodes_(nodes) {}

  // Channels are named as the app knows them, but for attributes().
  // GET /channels
  void list(const config::App& app, std::string_view prefix, const Info& info, Done done);
  // GET /channels/NAME
  void look(const config::App& app, std::string_view channel, const Info& info, Done done);
  // GET /channels/NAME/users
  void users(const config::App& app, std::string_view channel, Done done);

  // The attributes that info asks for, of one channel of the node.  occupied: says that as well.
  void attributes(const std::string& channel, const Info& info, bool occupied, OnAttributes done);

 private:
  void count_users(const std::string& prefix, json::Value::Object&& channels, Done done);
  json::Value cached(const ipc::ChannelState& state) const;

  Context& context_;
  NodeCalls& nodes_;
};

}  // namespace beamgate::api::pusher
