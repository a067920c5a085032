// Remote: questions to other workers ("Call" on the bus) and the answers to theirs.
//
// Owner      One per worker.  A method is one row of Method with a handler that turns a request body into a
//            reply body; the bodies are encoded as common/ipc/wire.h messages or JSON, as the method says.
// Limits     kCallsMax calls in flight; kAnswerMs until a missing answer is counted as none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"

namespace beamgate::hub {

// The numbers, and what questions and answers are made of, stay: during an upgrade workers of two builds ask each other.
enum class Method : uint16_t {
  Connection = 1,  // Look at, send to, close, subscribe or unsubscribe one connection: api/connection_ops.
  Channels = 2,    // Channels with their local subscriber counts.
  Info = 3,        // This worker's figures.
  Nothing = 4,     // No handler: the answer only shows that the master has handled what was sent before.
  Worker = 5,      // Which process it is: api/worker_calls.
  Events = 6,      // Takes over the webhook events of a worker that leaves: hook/webhooks.h.
  LongPoll = 8,    // Polls and posts of a session of another worker: proto/phoenix/longpoll_call.h.
  Subscribers = 32,  // How many subscribers the channels of a list have: hub/subscriber_counts.
  PusherTell = 33,   // What subscribers are told of it: proto/pusher/subscription_counts.
};

struct Answer {
  uint16_t worker = 0;
  bool answered = false;  // False: that worker ended, or there is none.
  std::string body;
};

class Remote {
 public:
  using Handler = std::function<std::string(std::string_view body)>;
  using OnAnswers = std::function<void(std::vector<Answer>&&)>;

  virtual ~Remote() = default;

  virtual void serve(Method method, Handler handler) = 0;
  // Asks every worker, this one included.  False: kCallsMax, or the bus is full.
  [[nodiscard]] virtual bool ask_all(Method method, std::string_view body, OnAnswers done) = 0;
  [[nodiscard]] virtual bool ask(uint16_t worker, Method method, std::string_view body, OnAnswers done) = 0;
  // A call that the master makes for this worker: the ticket to give it, and then answers as of any other; what has not
  // come after within_ms is a missing one.  0: kCallsMax.
  virtual uint64_t expect(int64_t within_ms, OnAnswers done) = 0;
  virtual void forget(uint64_t ticket) = 0;  // done is not called.
  // Asks one that will still be there when this one has gone; no answer where there is none.
  [[nodiscard]] virtual bool ask_heir(Method method, std::string_view body, OnAnswers done) = 0;
};

}  // namespace beamgate::hub
