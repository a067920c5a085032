// Node calls: what all workers together know of channels and of themselves: the methods channels and info.
//
// Owner      ApiHandler; one per worker.  It asks every worker through hub::Remote and answers for this one.
// Limits     kChannelsMax channels for one worker; with more the method fails and wants a narrower pattern.
// Counting   A channel with subscribers on two workers is one in "channels" with their sum; in "info", as
//            across Centrifugo's nodes, each worker counts the channels and users it has itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/json/value.h"
#include "worker/api/reply.h"
#include "worker/context.h"

namespace beamgate::api {

class NodeCalls {
 public:
  static constexpr size_t kChannelsMax = 50'000;
  static constexpr size_t kPatternBytesMax = 255;

  explicit NodeCalls(Context& context);

  // params: {pattern?}; the result is {"channels":{NAME:{"num_clients":N}}}.
  void channels(const json::Value& params, Done done);
  // How many have subscribed to this one channel: {"num_clients":N}.
  void subscribers(std::string_view channel, Done done);
  // The result is {"nodes":[{..., "workers":[{...}]}]}.
  void info(Done done);
  // How many WebSockets are open: {"num_clients":N}.
  void clients(Done done);

 private:
  std::string answer_channels(std::string_view body) const;
  std::string answer_info(std::string_view body) const;

  Context& context_;
  const int64_t started_ms_;
};

}  // namespace beamgate::api
