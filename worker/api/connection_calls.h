// Connection calls: looking at, sending to, closing and (un)subscribing connections, wherever they live.
//
// Owner      ApiHandler; one per worker.  It asks other workers through hub::Remote and answers their questions
//            about the connections of this one.
// Thread     Worker loop thread only.
// Finding    A connection id names the worker of its birth, so that one is asked first and all only when it
//            doesn't know the connection.  A user may have connections everywhere: all are asked.  There, those of a
//            user and the subscribers of a channel are found without a look at the others.
// Order      A subscription always takes the way over the bus, even for a connection of this worker: its answer
//            then follows the channel's interest, and what is published after the answer is delivered.
// Limits     kLooksMax connections are described for one question and worker, fewer when their texts pass
//            kLookBytesMax; counts are complete.
// Errors     An answer that can't be decoded, or a worker that ended, counts as "not there".
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/context.h"
#include "worker/hub/remote.h"
#include "worker/proto/connection_ops.h"
#include "worker/record/record.h"

namespace beamgate::api {

enum class ConnectionOp : uint8_t { Look = 0, Send = 1, Close = 2, Subscribe = 3, Unsubscribe = 4, Refresh = 5 };

// Which connections, and what to do with them: by uid, by user, by a channel they subscribe to; by all that are named.
struct ConnectionCall {
  ConnectionOp op = ConnectionOp::Look;
  uint64_t uid = 0;            // 0: any.
  std::string_view user;       // Empty: any.
  std::string_view subscribed_to;  // Empty: to anything.
  std::string_view channel;    // Subscribe, Unsubscribe.
  bool binary = false;         // Send.
  std::string_view bytes;
  uint16_t code = 1000;        // Close.
  std::string_view reason;
  bool expired = false;        // Refresh,
  int64_t expires_s = 0;       // or until when (Unix time; 0: for ever).
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.op), v(m.uid), v(m.user), v(m.subscribed_to), v(m.channel), v(m.binary), v(m.bytes), v(m.code), v(m.reason);
    v(m.expired), v(m.expires_s);
  }
};

// One worker's answer.
struct ConnectionAnswer {
  uint32_t matched = 0;
  uint32_t refused = 0;                  // Known, but it could not be done.
  int64_t since_ms = INT64_MAX;          // Unix time at which the first of those matched came.
  std::vector<uint32_t> by_protocol;     // Of those matched; indices are record::Protocol.
  std::vector<std::string_view> looks;   // JSON objects.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.matched), v(m.refused), v(m.since_ms), v(m.by_protocol), v(m.looks); }
};

class ConnectionCalls {
 public:
  static constexpr size_t kLooksMax = 100;
  static constexpr size_t kLookBytesMax = size_t{4} << 20;

  // What all workers together say.
  struct Outcome {
    bool asked = true;  // False: the bus is full, nothing was done.
    uint32_t matched = 0;
    uint32_t refused = 0;
    int64_t since_ms = INT64_MAX;
    std::array<uint32_t, static_cast<size_t>(record::kLastProtocol) + 1> by_protocol{};
    std::vector<std::string> looks;
    size_t look_bytes = 0;
  };
  using OnOutcome = std::function<void(Outcome&&)>;

  ConnectionCalls(Context& context, proto::ConnectionOps& ops);

  // REQUIRES: one that says which connections, or a Look.  done runs at once for a connection of this worker, else later.
  void run(const ConnectionCall& call, OnOutcome done);

 private:
  std::string answer(std::string_view body);
  // Everybody may be looked at; whoever is to be closed or sent to has to be named.
  static bool names_some(const ConnectionCall& call) {
    return call.uid != 0 || !call.user.empty() || !call.subscribed_to.empty() || call.op == ConnectionOp::Look;
  }
  void apply(const ConnectionCall& call, record::Record& record, Outcome& outcome);
  void apply_to_all(const ConnectionCall& call, Outcome& outcome);
  bool perform(const ConnectionCall& call, record::Record& record, Outcome& outcome);
  void ask_birthplace(const ConnectionCall& call, OnOutcome done);
  void ask_everyone(std::string_view body, OnOutcome done);

  Context& context_;
  proto::ConnectionOps& ops_;
};

}  // namespace beamgate::api
