// The bus: every message between a worker and the master, in both directions.
//
// Transport  One SOCK_SEQPACKET Unix socket pair per worker (common/ipc/channel.h).  A frame is
//            u32 body length, u16 kind, u16 zero, body; many frames share a packet.
// Version    kBusVersion changes when a message changes; Hello carries it and the master refuses another.  A binary of
//            another one is refused before an upgrade begins (master/image.h).  A new kind needs no new version where no
//            master or worker of the build before gets it: a worker says Farewell when the gateway stops, never in a move.
// Limits     kFrameBytesMax for a body.  A worker that sends a frame that can't be decoded is ended; the
//            master itself never trusts a length or a count.
// Order      What a worker sends is handled in that order.  Interest is confirmed by InterestAck before any
//            Deliver of that channel, so a subscriber may be told "subscribed" once the Ack is there: every
//            publication that is accepted afterwards reaches it.  The changes of a channel's members have numbers of
//            their own and a place among its publications: every worker hears both in the same order.
// Text fields borrow from the packet while a message is handled.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::ipc {

constexpr uint16_t kBusVersion = 4;
constexpr uint32_t kFrameBytesMax = (16 << 20) + 4096;
constexpr uint32_t kChannelNameBytesMax = 255;
constexpr uint32_t kIdempotencyKeyBytesMax = 255;
constexpr uint32_t kEventBytesMax = 255;         // Of a publication's event.
constexpr uint32_t kMetaBytesMax = 4096;         // Of a publication's meta.
constexpr uint32_t kUserBytesMax = 200;          // Fits a channel's name with the prefix of user channels.
constexpr uint32_t kMemberInfoBytesMax = 16 << 10;
constexpr uint32_t kStateListMax = 100'000;      // Publications or members in one ChannelState.
constexpr uint32_t kStateBytesMax = 8 << 20;     // Of their texts together.
constexpr uint32_t kCallBodyBytesMax = 16 << 20;  // Of a Call or Reply; fits a frame with any other fields.
constexpr uint32_t kPublicationBytesMax = kCallBodyBytesMax - 4096;  // Of a payload: a Call has 4k for what is beside it; a
                                                                     // frame 8k, for channel, event, meta, user and key.

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
  Join = 12,
  Leave = 13,
  JoinedAll = 14,
  Ask = 15,
  AskUsers = 16,
  Farewell = 17,
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
  ChannelState = 48,
  PresenceChange = 49,
  UserChange = 50,
  UsersState = 51,
  ChannelChange = 52,
  FarewellAck = 53,
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

// How far a channel has come.
struct Place {
  uint64_t offset = 0;    // Of the newest publication.
  uint64_t presence = 0;  // Of the newest change of its members.
};

struct InterestAck {
  static constexpr Kind kKind = Kind::InterestAck;
  std::string_view channel;
  std::string_view epoch;
  uint64_t offset = 0;    // Of the newest publication; the first Deliver carries offset + 1.
  uint64_t presence = 0;  // Of the newest PresenceChange; the first one carries presence + 1.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channel), v(m.epoch), v(m.offset), v(m.presence); }
};

enum class PayloadKind : uint8_t { Text = 0, Binary = 1, Json = 2 };

// What a publication carries beside its payload; all of it may be absent.
struct Origin {
  uint64_t sender = 0;     // uid of the connection that published it; 0: the application.
  std::string_view user;   // Of that connection.
  std::string_view event;  // Name of the event, for protocols that have one.
  std::string_view meta;   // A JSON object, for subscribers that filter by it (GRIP); not kept in a history.
};

enum PublishFlag : uint8_t {
  kPublishNoHistory = 1 << 0,  // Not kept in the channel's history.
};

struct Publish {
  static constexpr Kind kKind = Kind::Publish;
  uint64_t ticket = 0;       // 0: no PublishAck wanted.
  uint64_t except = 0;       // Connection that must not get it; 0: none.
  PayloadKind payload_kind = PayloadKind::Text;
  uint8_t flags = 0;         // PublishFlag
  std::string_view channel;
  std::string_view payload;
  Origin origin;
  std::string_view idempotency_key;  // Empty: none.  The same key within 5 minutes is accepted once.
  uint64_t receipt_ticket = 0;       // Not 0: CallReplies of this ticket tell what became of it, one Receipt of each
                                     // worker that has subscribers; none answers a repetition, or what is conflated.
  uint32_t acknowledge_ms = 0;       // The workers wait so long for clients to acknowledge it; 0: not at all.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.except), v(m.payload_kind), v(m.flags), v(m.channel), v(m.payload);
    v(m.origin.sender), v(m.origin.user), v(m.origin.event), v(m.origin.meta), v(m.idempotency_key);
    v(m.receipt_ticket), v(m.acknowledge_ms);
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

// What the channel's rules say about subscribers that are slow to read.
enum DeliverFlag : uint8_t {
  kDeliverSkipsSlow = 1 << 0,  // slow_reader skip
  kDeliverIsKept = 1 << 1,     // It is in the channel's history.
};

struct Deliver {
  static constexpr Kind kKind = Kind::Deliver;
  uint64_t offset = 0;
  uint64_t except = 0;
  PayloadKind payload_kind = PayloadKind::Text;
  uint8_t flags = 0;           // DeliverFlag
  std::string_view channel;
  std::string_view payload;
  Origin origin;
  uint64_t receipt_call = 0;   // Not 0: a Reply to this call, with a Receipt, is wanted,
  uint32_t acknowledge_ms = 0;  // after so long at most.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.offset), v(m.except), v(m.payload_kind), v(m.flags), v(m.channel), v(m.payload);
    v(m.origin.sender), v(m.origin.user), v(m.origin.event), v(m.origin.meta), v(m.receipt_call), v(m.acknowledge_ms);
  }
};

// What became of a publication at one worker's subscribers: the body of a Reply.
struct Receipt {
  uint32_t subscribers = 0;   // It was meant for; none of those that it means nothing to.
  uint32_t sent = 0;          // Taken into their send queues.
  uint32_t dropped = 0;       // Not: slow readers.
  uint32_t acknowledged = 0;  // Of those sent: the client has read it.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.subscribers), v(m.sent), v(m.dropped), v(m.acknowledged); }
};

// The worker's queue at the master was full: publications of this channel up to and including `offset`, or changes of
// its members up to and including `presence`, did not reach it (bus_queue).
struct Gap {
  static constexpr Kind kKind = Kind::Gap;
  uint64_t offset = 0;
  uint64_t presence = 0;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.offset), v(m.presence), v(m.channel); }
};

// One connection among the members of a channel.  A user is there while any of its connections is.
struct Member {
  static constexpr size_t kBytesMin = 8 + 8 + 1 + 4 + 4;
  uint64_t uid = 0;
  int64_t since_ms = 0;     // Unix time.
  uint8_t protocol = 0;     // record::Protocol
  std::string_view user;
  std::string_view info;    // JSON, or empty; of this connection.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.uid), v(m.since_ms), v(m.protocol), v(m.user), v(m.info); }
};

// A publication of the past.
struct Past {
  static constexpr size_t kBytesMin = 8 + 8 + 1 + 4 + 8 + 4 + 4;
  uint64_t offset = 0;
  int64_t time_ms = 0;      // Unix time of its acceptance.
  PayloadKind payload_kind = PayloadKind::Text;
  std::string_view payload;
  Origin origin;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.offset), v(m.time_ms), v(m.payload_kind), v(m.payload);
    v(m.origin.sender), v(m.origin.user), v(m.origin.event);
  }
};

// What a Join or an Ask wants to know.
enum StateFlag : uint8_t {
  kStateRecover = 1 << 0,   // The publications after `after` of `epoch`: all of them, or none when there are more than
                            // publications_max; 0: however many they are.
  kStateNewest = 1 << 1,    // The newest `publications_max` publications that are kept.
  kStateAfter = 1 << 2,     // At most publications_max that are kept behind `after`, whatever the epoch.
  kStateMembers = 1 << 3,   // Who is present.
  kStateReverse = 1 << 4,   // With kStateNewest and kStateAfter: newest first; kStateAfter means "before" then.
  kStateForget = 1 << 5,    // Ask: the history is removed; up to and including `after`, where that is not 0.
};

// A subscriber enters a channel that this worker has sent its Interest for: with `member` it is present from now on, and
// the ChannelState that answers is what the channel was at that place in the order of its publications.  The same again
// changes the member's info.  ticket 0: no answer; a successor, or the destination of a move, tells what it has.
struct Join {
  static constexpr Kind kKind = Kind::Join;
  uint64_t ticket = 0;
  std::string_view channel;
  bool is_member = false;
  bool quiet = false;              // A new master is told of one that the others know already.
  Member member;
  uint8_t wants = 0;               // StateFlag
  std::string_view epoch;
  uint64_t after = 0;
  uint32_t publications_max = 0;
  uint32_t members_max = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.channel), v(m.is_member), v(m.quiet);
    Member::visit(v, m.member);
    v(m.wants), v(m.epoch), v(m.after), v(m.publications_max), v(m.members_max);
  }
};

// It is no longer a member.  Means nothing when the member has come to another worker meanwhile.
struct Leave {
  static constexpr Kind kKind = Kind::Leave;
  uint64_t uid = 0;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.uid), v(m.channel); }
};

// A successor has told all of its members: the others that its predecessor had have gone.
struct JoinedAll {
  static constexpr Kind kKind = Kind::JoinedAll;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

// As Join, for somebody who doesn't enter.
struct Ask {
  static constexpr Kind kKind = Kind::Ask;
  uint64_t ticket = 0;
  std::string_view channel;
  uint8_t wants = 0;               // StateFlag
  std::string_view epoch;
  uint64_t after = 0;
  uint32_t publications_max = 0;
  uint32_t members_max = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.channel), v(m.wants), v(m.epoch), v(m.after), v(m.publications_max), v(m.members_max);
  }
};

// Answers Join and Ask.  Every Deliver before it has an offset of at most `offset`, every later one a higher one.
struct ChannelState {
  static constexpr Kind kKind = Kind::ChannelState;
  uint64_t ticket = 0;
  std::string_view channel;
  bool answered = true;        // False: it would have been too much for this bus.
  std::string_view epoch;
  uint64_t offset = 0;         // Of the newest publication.
  bool recovered = false;      // kStateRecover: nothing is missing.
  std::vector<Past> publications;
  uint32_t users = 0;          // Present, each counted once.
  uint32_t connections = 0;
  bool listed = false;         // `members` is complete; false above presence_limit or members_max.
  std::vector<Member> members;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.channel), v(m.answered), v(m.epoch), v(m.offset), v(m.recovered), v(m.publications);
    v(m.users), v(m.connections), v(m.listed), v(m.members);
  }
};

enum class MemberEvent : uint8_t { Entered = 0, Left = 1, Updated = 2 };

struct MemberChange {
  static constexpr size_t kBytesMin = 1 + 1 + Member::kBytesMin;
  MemberEvent event = MemberEvent::Entered;
  bool whole_user = false;     // Entered: the user's first connection; Left: its last one.
  Member member;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.event), v(m.whole_user);
    Member::visit(v, m.member);
  }
};

// Members of a channel have come or gone; to every worker that is interested in it.
struct PresenceChange {
  static constexpr Kind kKind = Kind::PresenceChange;
  uint64_t number = 0;         // Of this change in the channel's epoch: the one before it plus 1.
  std::string_view channel;
  uint32_t users = 0;
  uint32_t connections = 0;
  bool listed = false;         // False: there are too many to tell each one; `changes` is empty.
  bool whole = false;          // `changes` names everybody who is there, and what was told before means nothing.
  std::vector<MemberChange> changes;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.number), v(m.channel), v(m.users), v(m.connections), v(m.listed), v(m.whole), v(m.changes);
  }
};

// A user has come to a channel (its first connection there) or left it (its last one, after presence_leave_delay).  The
// master numbers these changes, and gives each to one worker, which tells the application of the rules' presence_webhook.
struct UserChange {
  static constexpr Kind kKind = Kind::UserChange;
  static constexpr size_t kBytesMin = 8 + 8 + 1 + 8 + 8 + 4 + 4 + 4;
  uint64_t incarnation = 0;    // Of the sequence.
  uint64_t sequence = 0;       // From 1, without gaps.
  bool joined = false;
  int64_t joined_ms = 0;       // Unix time.
  int64_t left_ms = 0;         // Of its last connection; 0 when joined.
  std::string_view channel;
  std::string_view user;
  std::string_view info;       // Of its first or last connection.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.incarnation), v(m.sequence), v(m.joined), v(m.joined_ms), v(m.left_ms), v(m.channel), v(m.user), v(m.info);
  }
};

// Somebody is interested in a channel that nobody was, or nobody has been for a while.  Given to one worker, which tells
// the applications of the Pusher protocol.
struct ChannelChange {
  static constexpr Kind kKind = Kind::ChannelChange;
  bool occupied = false;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.occupied), v(m.channel); }
};

// Who is there, over channels: the changes behind a sequence number, or everybody.
struct AskUsers {
  static constexpr Kind kKind = Kind::AskUsers;
  uint64_t ticket = 0;
  bool changes = false;        // The changes behind `since`; else who is in channels of `prefix`.
  uint64_t incarnation = 0;    // With changes: whose sequence it is.
  uint64_t since = 0;
  std::string_view prefix;
  std::string_view after;      // Of the channels, in order, those behind this name.
  uint32_t max = 0;            // Changes, or channels.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.changes), v(m.incarnation), v(m.since), v(m.prefix), v(m.after), v(m.max);
  }
};

// One user of a channel.
struct Present {
  static constexpr size_t kBytesMin = 4 + 4 + 4 + 8;
  std::string_view channel;
  std::string_view user;
  uint32_t connections = 0;    // 0: gone, and waited for.
  int64_t joined_ms = 0;       // Unix time.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channel), v(m.user), v(m.connections), v(m.joined_ms); }
};

// Answers AskUsers.  complete false: changes are missing (another incarnation, or forgotten): a snapshot is needed; or
// there are more than `max`: the last one tells where to go on.
struct UsersState {
  static constexpr Kind kKind = Kind::UsersState;
  uint64_t ticket = 0;
  bool answered = true;
  bool known = true;           // The changes follow `since` without a gap.
  bool more = false;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;       // Of the newest change.
  std::vector<UserChange> changes;
  std::vector<Present> present;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.ticket), v(m.answered), v(m.known), v(m.more), v(m.incarnation), v(m.sequence), v(m.changes), v(m.present);
  }
};

// A question for other workers, relayed by the master, who does not look into the body.
enum class Target : uint8_t {
  All = 0,     // Every serving worker, the asker included.
  Worker = 1,  // The one named in Call::worker.
  Heir = 2,    // One that stays, another than the asker; nobody when all of them leave.
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

// A worker that ends has closed all its connections: no Leave comes any more.  It waits for the FarewellAck, since it may
// be the one that tells applications of the last ones that have gone.
struct Farewell {
  static constexpr Kind kKind = Kind::Farewell;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

// No UserChange and no ChannelChange comes behind it.
struct FarewellAck {
  static constexpr Kind kKind = Kind::FarewellAck;
  template <typename V, typename M>
  static void visit(V&, M&) {}
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

// confirmed false: its Interest has no InterestAck yet; epoch and numbers mean nothing then.
struct Known {
  static constexpr Kind kKind = Kind::Known;
  bool confirmed = false;
  uint64_t offset = 0;    // Of the newest publication that has reached this worker.
  uint64_t presence = 0;  // Of the newest PresenceChange.
  std::string_view epoch;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.confirmed), v(m.offset), v(m.presence), v(m.epoch), v(m.channel); }
};

struct KnownAll {
  static constexpr Kind kKind = Kind::KnownAll;
  uint32_t generation = 0;  // As in Ready.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.generation); }
};

// Publications of this channel up to and including `offset`, and changes of its members up to `presence`, went with the
// dead master on their way to this worker.  Unlike a Gap it ends nobody's subscription: the next offset tells those who
// count, and a whole list follows of whoever is there.
struct Missed {
  static constexpr Kind kKind = Kind::Missed;
  uint64_t offset = 0;
  uint64_t presence = 0;
  std::string_view channel;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.offset), v(m.presence), v(m.channel); }
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
