// Channel door: who may follow the channels that a request by plain HTTP names.
//
//   tokens       where the location looks at them (sse_token, longpoll_token) the request shows at least one, all of them
//                valid and of one user: 401 else
//   each channel that the configuration names without a variable is the administrator's word; of the others the channel's
//                rules decide: open to all; token: one of the tokens names it; webhook: beamgate.subscribe is asked, one
//                channel after the other; nobody may follow a user's
//   refusals     400 (no name, none, too many), 401, 403, 503 (the channel is full); the application's own 4xx and 5xx;
//                without a usable answer on_error decides: 503, or 502 for a broken one
//   answers      of the application's actions user, subscribe and publish are done; there is nobody to do others to
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     Cursor::kChannelsMax channels.  One call at a time for a request; a client that goes away cancels it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/crypto/jwt.h"
#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/channel_request.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto {

// Who is let in, and where.
struct Guest {
  std::vector<std::string> channels;
  std::string user;       // By its token, or the application's word; empty: nobody knows.
  int64_t expires_s = 0;  // Unix time at which the first of its tokens ends; 0: none does.
};

class ChannelDoor {
 public:
  using LetIn = std::function<void(http::Exchange&, const Guest&)>;

  ChannelDoor(Context& context, http::Exchanges& exchanges, ConnectionOps& ops, ChannelPolicy& policy);

  // let_in runs once, now or later, unless the request is refused, or its client goes.
  void open(http::Exchange& exchange, const config::ChannelReaderAction& action, LetIn let_in);

 private:
  class Visit;
  struct Refusal;

  Refusal check_tokens(const http::Request& request, const config::TokenRules& rules, Visit& visit) const;
  Refusal check_channel(const RequestedChannel& channel, bool tokens, Visit& visit) const;
  void ask_next(http::Exchange& exchange, Visit& visit);
  void on_reply(http::Exchange& exchange, Visit& visit, const config::Webhook& webhook, const hook::Reply& reply);
  void take_actions(Visit& visit, const hook::Actions& actions);
  void refuse(http::Exchange& exchange, const Visit& visit, const Refusal& refusal);

  Context& context_;
  http::Exchanges& exchanges_;
  ChannelPolicy& policy_;
  BusWait bus_wait_;
  ActionRunner runner_;
  Subjects subjects_;
};

}  // namespace beamgate::proto
