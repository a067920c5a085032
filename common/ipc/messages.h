// The bus: every message between a worker and the master, in both directions.
//
// Transport  One SOCK_SEQPACKET Unix socket pair per worker (common/ipc/channel.h).  A frame is
//            u32 body length, u16 kind, u16 zero, body; many frames share a packet.
// Version    kBusVersion changes when a message changes; Hello carries it and the master refuses another.
// Limits     kFrameBytesMax for a body.  A worker that sends a frame that can't be decoded is ended; the
//            master itself never trusts a length or a count.
// Order      What a worker sends is handled in that order.  Interest is confirmed by InterestAck before any
//            Deliver of that channel, so a subscriber may be told "subscribed" once the Ack is there: every
//            publication that is accepted afterwards reaches it.
// Text fields borrow from the packet while a message is handled.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::ipc {

constexpr uint16_t kBusVersion = 2;
constexpr uint32_t kFrameBytesMax = (16 << 20) + 4096;
constexpr uint32_t kChannelNameBytesMax = 255;
constexpr uint32_t kIdempotencyKeyBytesMax = 255;
constexpr uint32_t kCallBodyBytesMax = 16 << 20;  // Of a Call or Reply; fits a frame with any other fields.

enum class Kind : uint16_t {
  // Worker to master.
  Hello = 1,
  Ready = 2,          // Serving; the supervisor's readiness.
  Prepared = 3,       // Answer to Prepare.
  Interest = 4,
  Withdraw = 5,
  Publish = 6,
  Call = 7,
  Reply = 8,
  Moved = 9,
  Known = 10,         // Answers to Recount.
  KnownAll = 11,
  // Master to worker.
  InterestAck = 32,
  Deliver = 33,
  PublishAck = 34,
  Gap = 35,
  Request = 36,
  CallReply = 37,
  Prepare = 38,
  Commit = 39,
  Abort = 40,
  Stop = 41,
  ReopenLogs = 42,
  MoveOut = 43,
  MoveIn = 44,
  Recount = 45,
  Recounted = 46,
  Missed = 47,
  // A dead master's keeper to a new master (master/keeper/estate.h).
  Estate = 64,
};

struct Hello {
  static constexpr Kind kKind = Kind::Hello;
  uint16_t version = kBusVersion;
  uint16_t worker = 0;
  uint32_t pid = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.version), v(m.worker), v(m.pid); }
};

struct Ready {
  static constexpr Kind kKind = Kind::Ready;
  uint32_t generation = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation); }
};

// First local subscriber of a channel; confirmed by InterestAck.
struct Interest {
  static constexpr Kind kKind = Kind::Interest;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channel); }
};

// Last local subscriber gone.  No answer; a Deliver that crosses it is ignored by the worker.
struct Withdraw {
  static constexpr Kind kKind = Kind::Withdraw;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channel); }
};

struct InterestAck {
  static constexpr Kind kKind = Kind::InterestAck;
  std::string_view channel;
  std::string_view epoch;
  uint64_t offset = 0;  // Of the newest publication; the first Deliver carries offset + 1.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channel), v(m.epoch), v(m.offset); }
};

enum class PayloadKind : uint8_t { Text = 0, Binary = 1, Json = 2 };

struct Publish {
  static constexpr Kind kKind = Kind::Publish;
  uint64_t ticket = 0;       // 0: no PublishAck wanted.
  uint64_t except = 0;       // Connection that must not get it; 0: none.
  PayloadKind payload_kind = PayloadKind::Text;
  std::string_view channel;
  std::string_view payload;
  std::string_view idempotency_key;  // Empty: none.  The same key within 5 minutes is accepted once.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.except), v(m.payload_kind), v(m.channel), v(m.payload), v(m.idempotency_key);
  }
};

struct PublishAck {
  static constexpr Kind kKind = Kind::PublishAck;
  uint64_t ticket = 0;
  uint64_t offset = 0;
  std::string_view epoch;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.ticket), v(m.offset), v(m.epoch); }
};

struct Deliver {
  static constexpr Kind kKind = Kind::Deliver;
  uint64_t offset = 0;
  uint64_t except = 0;
  PayloadKind payload_kind = PayloadKind::Text;
  std::string_view channel;
  std::string_view payload;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.offset), v(m.except), v(m.payload_kind), v(m.channel), v(m.payload);
  }
};

// The worker's queue at the master was full: publications of this channel up to and including `offset`
// did not reach it (bus_queue).
struct Gap {
  static constexpr Kind kKind = Kind::Gap;
  uint64_t offset = 0;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.offset), v(m.channel); }
};

// A question for other workers, relayed by the master, who does not look into the body.
enum class Target : uint8_t {
  All = 0,     // Every serving worker, the asker included.
  Worker = 1,  // The one named in Call::worker.
};

struct Call {
  static constexpr Kind kKind = Kind::Call;
  uint64_t ticket = 0;   // The asker's own, comes back in CallReply.
  Target target = Target::All;
  uint16_t worker = 0;
  uint16_t method = 0;   // worker/hub/remote.h
  std::string_view body;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.ticket), v(m.target), v(m.worker), v(m.method), v(m.body); }
};

// A Call as it reaches the worker that shall answer.
struct Request {
  static constexpr Kind kKind = Kind::Request;
  uint64_t call = 0;     // The master's number, comes back in Reply.
  uint16_t method = 0;
  std::string_view body;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.call), v(m.method), v(m.body); }
};

struct Reply {
  static constexpr Kind kKind = Kind::Reply;
  uint64_t call = 0;
  std::string_view body;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.call), v(m.body); }
};

// One worker's answer on its way to the asker.  A worker that ends without answering, or doesn't exist,
// gives answered = false.  remaining counts the answers still to come; 0 ends the call.
struct CallReply {
  static constexpr Kind kKind = Kind::CallReply;
  uint64_t ticket = 0;
  uint16_t worker = 0;
  uint16_t remaining = 0;
  bool answered = true;
  std::string_view body;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.worker), v(m.remaining), v(m.answered), v(m.body);
  }
};

// Reload, first step: a new configuration.  Descriptors travel with the packet: first a memfd with the
// configuration's text, then one socket per entry of `listens`: the stable ids of the listens that are new.
// They are bound; they begin to listen just before Commit is sent.
// The worker builds everything that can fail and answers Prepared; nothing changes yet.
struct Prepare {
  static constexpr Kind kKind = Kind::Prepare;
  uint32_t generation = 0;
  std::vector<uint32_t> listens;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation), v(m.listens); }
};

struct Prepared {
  static constexpr Kind kKind = Kind::Prepared;
  uint32_t generation = 0;
  bool accepted = true;
  std::string_view reason;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation), v(m.accepted), v(m.reason); }
};

// Reload, second step: all workers use the prepared configuration, or drop it.
struct Commit {
  static constexpr Kind kKind = Kind::Commit;
  uint32_t generation = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation); }
};

struct Abort {
  static constexpr Kind kKind = Kind::Abort;
  uint32_t generation = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation); }
};

struct Stop {
  static constexpr Kind kKind = Kind::Stop;
  bool graceful = false;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.graceful); }
};

// The log files were rotated, or another error log is configured.  The descriptor of the error log travels with
// it, for Log::adopt(); the worker opens its access logs again by itself.
struct ReopenLogs {
  static constexpr Kind kKind = Kind::ReopenLogs;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

// A move of connections from one worker to another (worker/move/).  Both get a SOCK_SEQPACKET end to talk over
// and the same page of decisions (a memfd), in this order, with MoveOut and MoveIn.
enum class MoveScope : uint8_t {
  Some = 0,  // Up to `count` connections, then it ends.
  All = 1,   // Everything, also what can't be moved yet, as soon as it can; the worker accepts nothing more.
};

struct MoveOut {
  static constexpr Kind kKind = Kind::MoveOut;
  uint32_t move = 0;       // The master's number.
  MoveScope scope = MoveScope::Some;
  uint32_t count = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.move), v(m.scope), v(m.count); }
};

struct MoveIn {
  static constexpr Kind kKind = Kind::MoveIn;
  uint32_t move = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.move); }
};

// The source's account: when a move has ended.  `left`: connections it still has.
// ok false: the other end went away or refused; everything that was not given is served here as before.
struct Moved {
  static constexpr Kind kKind = Kind::Moved;
  uint32_t move = 0;
  bool ok = true;
  uint32_t moved = 0;
  uint32_t left = 0;
  std::string_view reason;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.move), v(m.ok), v(m.moved), v(m.left), v(m.reason); }
};

// A new master goes on in the place of one that was killed, and knows nothing: whatever the worker has of its
// channels it tells with one Known each, then KnownAll.  Frames that it has sent before are handled after all workers
// have answered.  A Prepare without its Commit is forgotten.
struct Recount {
  static constexpr Kind kKind = Kind::Recount;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

// confirmed false: its Interest has no InterestAck yet; epoch and offset mean nothing then.
struct Known {
  static constexpr Kind kKind = Kind::Known;
  bool confirmed = false;
  uint64_t offset = 0;  // Of the newest publication that has reached this worker.
  std::string_view epoch;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.confirmed), v(m.offset), v(m.epoch), v(m.channel); }
};

struct KnownAll {
  static constexpr Kind kKind = Kind::KnownAll;
  uint32_t generation = 0;  // As in Ready.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation); }
};

// Publications of this channel up to and including `offset` went with the dead master on their way to this worker.
// Unlike a Gap it ends nobody's subscription: the next offset tells those who count.
struct Missed {
  static constexpr Kind kKind = Kind::Missed;
  uint64_t offset = 0;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.offset), v(m.channel); }
};

// Everything sent before KnownAll is answered by now, or was lost with the master that had read it.
struct Recounted {
  static constexpr Kind kKind = Kind::Recounted;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

// What a dead master held: its HandoverState in a memfd, first of all, then the descriptors that the state names, in
// its order; over as many of these as it takes.
struct Estate {
  static constexpr Kind kKind = Kind::Estate;
  bool last = false;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.last); }
};

}  // namespace beamgate::ipc
