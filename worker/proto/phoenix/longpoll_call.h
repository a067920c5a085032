// Long-poll call: what workers ask each other about polls (hub::Method::LongPoll).
//
// A session lives in the worker that opened it, and a client's requests reach any of them.  The worker that
// has a request asks the session's: Poll gives what waits, or remembers who holds the poll; then Deliver
// brings that one what comes. Lost says that the client of a held poll has gone.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::proto::phoenix {

enum class LongPollOp : uint8_t { Poll = 0, Post = 1, Deliver = 2, Lost = 3 };

struct LongPollCall {
  LongPollOp op = LongPollOp::Poll;
  std::string_view token;                  // Poll, Post, Lost: of the session.
  uint16_t holder = 0;                     // Poll, Lost: the worker that holds it,
  uint64_t poll = 0;                       // Poll, Deliver, Lost: under this number.
  std::string_view body;                   // Post.
  uint16_t status = 0;                     // Deliver: of the answer.
  std::vector<std::string_view> messages;  // Deliver.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.op), v(m.token), v(m.holder), v(m.poll), v(m.body), v(m.status), v(m.messages);
  }
};

struct LongPollAnswer {
  uint16_t status = 0;  // For the client; Poll: 204 when it is to be held.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.status); }
};

}  // namespace beamgate::proto::phoenix
