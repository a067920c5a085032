// Connections: every client socket of this worker: reading, writing, back-pressure, deadlines, closing.
//
// Owner      One per worker.  Records live in the arena; a Record& is good until the next call that may close
//            it, a ConnId for ever.
// Thread     Worker loop thread only.
// Reading    Level-triggered epoll set of its own, nested in the libuv loop.  Bytes land in one shared buffer
//            and go to the phase's handler; what it leaves is the record's carry.  A connection that waits
//            for nothing holds no buffer.
// Writing    While a connection's bytes are being handled (its "turn"), small writes collect in one buffer and
//            leave in one system call at its end; what the kernel doesn't take becomes frames.  Frames
//            queued from elsewhere (fan-out) leave gathered, once per loop turn.
//            A round of shared frames to more than kRoundAtOnce connections is followed by a gap as long as
//            the round took, within kRoundGapUsMin and Max: what is published meanwhile to the same connections
//            leaves in the same system calls, so that a busy room costs a fraction of them.
// Steps      What is done for one connection is one step (record/journal.h), and what it wants to send leaves after
//            its commit: a worker may be killed at any moment, and its successor finds every connection as it was
//            between two steps (adopt_all()).  Only the connection that is being served (Life::Now) can have bytes
//            that the kernel has moved and the record doesn't know of; the kernel's counters tell how many.
// Streams    A connection of Transport::Stream has no socket but a stream of an HTTP/2 connection (stream_link.h,
//            connections_streams.cc); everything else about it is as for the others.
// TLS        A connection of Transport::Tls reads and writes through its session (tls_links.h): its carry, turn and
//            queue are plaintext, which is sealed when the kernel has room for it.  With a Record::tls its records are
//            ours and all of this holds for it too (connections_records.cc); otherwise they are OpenSSL's, and it lives
//            and dies with its process (connections_tls.cc).
// Limits     Record::outbound_limit bytes: send() refuses above it and the caller applies its policy.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/ipc/address_table.h"
#include "common/ipc/life.h"
#include "common/metrics/metrics.h"
#include "worker/net/phase_handler.h"
#include "worker/net/poller.h"
#include "worker/net/stream_link.h"
#include "worker/net/timer_wheel.h"
#include "worker/net/tls_links.h"
#include "worker/net/user_index.h"
#include "worker/record/arena.h"
#include "worker/record/extras.h"
#include "worker/record/record.h"
#include "worker/record/tls_state.h"

namespace beamgate::net {

struct Peer {
  sockaddr_storage address{};
  socklen_t length = 0;
};

// Slots of the arena beyond worker_connections: an administrator gets in also where everything is full.
inline constexpr uint32_t kReservedConnections = 8;

// How many connections there may be: here, and per client address on the whole node.
struct ConnectionLimits {
  uint32_t per_worker = 0;
  uint32_t per_address = 0;                // 0: no limit.
  ipc::AddressTable* addresses = nullptr;  // May be null: no limit per address.
  ipc::AddressTable* keys = nullptr;       // Counts of limit_conn; may be null: nothing is counted.
  uint16_t slot = 0;                       // This worker's column of the tables.
  uint64_t address_seed = 0;               // The node's key for hashing addresses.
  // Listens whose clients are announced by a PROXY header: they begin in phase Announced, and are counted once
  // announce() has said who they are.
  std::unordered_set<uint32_t> announced;
  std::unordered_set<uint32_t> lines;  // Listens whose clients begin in phase Line.
};

// A socket that was another worker's, and what its connection is: the record's plain fields, nothing that is in
// an arena.
struct Arrival {
  record::Record fields;
  int64_t deadline_ms = 0;       // Monotonic, as the one below; 0: none.
  int64_t last_received_ms = 0;
  uint32_t page = 0;             // Record::move_page and move_place.
  uint32_t place = 0;
};

// Record::move_place: which connection of which batch it is, and whether it comes or goes.
constexpr uint32_t kPlaceArriving = uint32_t{1} << 31;
constexpr uint32_t kPlaceIndexBits = 6;

class Connections final : public PollTarget {
 public:
  static constexpr size_t kReadBytes = 64 << 10;  // At most, of one connection and loop turn.

  Connections(record::Arena& arena, Poller& poller, metrics::Page& metrics, uint16_t worker);
  ~Connections() override;

  // Where to say who is served; without it nobody asks.
  void set_life(ipc::Life& life) { now_ = &life.now; }
  void set_handler(record::Phase phase, PhaseHandler& handler);  // Before the first connection.
  void set_limits(const ConnectionLimits& limits) { limits_ = limits; }
  // So many beyond ConnectionLimits::per_worker, for clients of these listens alone.
  void set_reserve(uint32_t count, std::unordered_set<uint32_t> listens) {
    reserve_ = count;
    reserve_listens_ = std::move(listens);
  }
  // Told just before a record is freed, whatever its phase was: what others know of it (subscriptions, messages
  // that wait) has to go first.
  void set_on_free(std::function<void(record::Record&)> on_free) { on_free_ = std::move(on_free); }

  // What is spoken at which address; without it everything is plain.  tickets may be null.
  void set_tls(tls::Contexts& contexts, const tls::TicketKeyPage* tickets) { tls_.set_contexts(contexts, tickets); }

  // --- Coming and being found.
  // Around accept4(2) and adopt(): a worker that dies in between has a client that is in no record, and its successor
  // looks for it (worker/predecessor.h).
  class Accepting {
   public:
    Accepting(Connections& connections, uint32_t listen_id) : stage_(connections.arena_.stage()) {
      stage_.accepting = listen_id + 1;
    }
    ~Accepting() { stage_.accepting = 0; }
    Accepting(const Accepting&) = delete;
    Accepting& operator=(const Accepting&) = delete;

   private:
    record::Stage& stage_;
  };
  // Takes a connected, non-blocking socket into phase Http.  Null when a limit refuses it; it is then closed.
  record::Record* adopt(UniqueFd socket, const Peer& peer, uint32_t listen_id);
  bool has_room(uint32_t listen_id) const { return active_ < limits_.per_worker + reserved_for(listen_id); }
  uint32_t room() const { return limits_.per_worker - std::min(active_, limits_.per_worker); }
  uint32_t active() const { return active_; }
  // Those of them that can't leave this process.
  uint32_t rooted() const { return tls_.sessions() + static_cast<uint32_t>(links_.size()) + http2_rooted_; }
  uint32_t handshakes() const { return tls_.handshakes(); }  // Of TLS, under way: they may be able to leave in a moment.
  // Null without TLS, and until the handshake is done.
  const tls::Negotiated* tls_of(const record::Record& record) const {
    return record.transport == record::Transport::Tls ? tls_.negotiated(slot_of(record)) : nullptr;
  }
  bool handshaking(const record::Record& record) const {
    return record.transport == record::Transport::Tls && tls_.handshaking(slot_of(record));
  }
  uint32_t slots_touched() const { return slots_touched_; }  // Records behind it were never used.

  // The header of an announced connection has been read: from now on its peer is `client`, and where its address speaks
  // TLS, a handshake is next.  False: the client has too many connections, or there is no memory, which is counted.
  [[nodiscard]] bool announce(record::Record& record, const record::Announcement& announced,
                              const record::Endpoint& client);
  // Counts the connection for a key of limit_conn, on the whole node, until uncount() or its end, moves and successors
  // included.  False: that would be more than `limit`.
  [[nodiscard]] bool count_for(record::Record& record, uint64_t key, uint32_t limit);
  void uncount(record::Record& record);  // For all of its keys.
  // The same for what is no connection of its own and dies with its worker: the entry to give back, or none.
  [[nodiscard]] std::optional<uint32_t> count_key(uint64_t key, uint32_t limit);
  void uncount_key(uint32_t entry);

  // --- Streams of other connections.
  // A record for a stream that is carried by `carrier`, in its phase.  Null: there is no room.
  record::Record* adopt_stream(std::unique_ptr<StreamLink> link, const record::Record& carrier);
  void begin_stream(record::Record& record);  // It is read from now on.
  void stream_changed(record::ConnId id);     // Its link may be readable or writable now.

  record::ConnId id_of(const record::Record& record) const;
  record::Record* find(record::ConnId id);    // Null once it is gone.
  record::Record* find_uid(uint64_t uid);     // Of this worker only, and of those it serves.
  // Who the connection is; empty text: nobody in particular.  What writes Record::user, beside adoption and the
  // connection's end.  False: no memory, nothing has changed.
  [[nodiscard]] bool set_user(record::Record& record, std::string_view user);
  // Whoever has this user now, in slot order.
  std::vector<record::ConnId> of_user(std::string_view user) const;
  // Every live record, in slot order; `visit` may close the one it is given.
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (uint32_t slot = 0; slot < slots_touched_; ++slot) {
      record::Record& record = arena_.records()[slot];
      if (record.phase != record::Phase::Free) visit(record);
    }
  }

  // --- Writing.  False: the queue would exceed outbound_limit (or the arena is full); nothing was queued.
  // Copies: into the turn buffer during the record's own turn, else into a frame.
  [[nodiscard]] bool send(record::Record& record, std::string_view bytes);
  [[nodiscard]] bool send(record::Record& record, std::string_view head, std::string_view body);
  // As send(), but what the kernel takes at once is not copied, and has left before the step is committed: for bytes
  // that nobody would go on with after a crash, such as those of an exchange.
  [[nodiscard]] bool send_through(record::Record& record, std::string_view bytes);
  // Shares: takes a reference of its own.  Leaves at the end of the loop turn, or with the next round.
  [[nodiscard]] bool send_frame(record::Record& record, record::Ref frame);
  // Part of a file, kernel to kernel, behind everything sent before.  Advances offset and returns the bytes
  // taken; 0 at the file's end.  WouldBlock: on_drained() will say when to go on.
  Result<size_t> send_file(record::Record& record, int file, off_t& offset, size_t count);
  // on_drained() when the kernel has room and nothing is queued, in another round: for a writer that could go
  // on but lets others have their turn.
  void await_writable(record::Record& record);
  // Removes the oldest queued frames of which the kernel has seen nothing, until at least `bytes` bytes are
  // gone or none is left; returns how many frames went.
  uint32_t drop_oldest(record::Record& record, size_t bytes);
  size_t outbound_room(const record::Record& record) const;  // What send() would still take.
  size_t outbound_queued(const record::Record& record) const;

  // --- Reading.  A paused connection is not read; its carry waits.
  void pause(record::Record& record, record::PauseReason reason);
  void resume(record::Record& record, record::PauseReason reason);

  // --- Phases and deadlines.
  // The layer that its bytes go to from now on; carry is offered to it.  The old layer is not told.
  void enter_phase(record::Record& record, record::Phase phase);
  // Absolute monotonic milliseconds, rounded up to a tick; 0 clears.
  void set_deadline(record::Record& record, int64_t at_ms);
  int64_t last_received_ms(const record::Record& record) const;  // Monotonic, exact to a tick.
  // The peer has sent FIN or a reset behind what is not read yet: nobody may be there to be answered.  Costs a system
  // call; of a TLS connection it is known only once it has been read.
  bool peer_has_gone(const record::Record& record) const;
  int64_t now_ms() const { return wheel_.time_of(wheel_.now_tick()); }  // Of the deadlines' clock, as exact.

  // --- Closing.
  // Sends what is queued, then FIN, then discards input until the peer's FIN or kLingerMs, so that no answer
  // is lost to a reset.  The layer's on_gone comes at once, and no further bytes.
  void close_gracefully(record::Record& record);
  // The same, of a peer that has said that nothing follows what was read: no reset can come of not reading on, so there
  // is nothing to wait for once all is with the kernel.
  void close_after_last(record::Record& record);
  void close_now(record::Record& record);  // Queued output is lost.

  // --- Moving.
  // A frozen connection is neither read, written nor timed.  What is sent to it meanwhile is queued; when it goes,
  // that is thrown away, because its new worker sends the same.  One that leaves thaws when anything else is to
  // happen to it: touch() comes before every change that isn't a publication.
  bool movable(const record::Record& record);
  bool leaving(const record::Record& record) const;   // Frozen, and still ours.
  bool arriving(const record::Record& record) const;  // Frozen, and not ours yet.
  void freeze(record::Record& record, uint32_t page, uint32_t place);
  void thaw(record::Record& record);       // It stays.
  void give_away(record::Record& record);  // It is another worker's now: its descriptor is closed, no more.
  void touch(record::Record& record) {
    record::touch(arena_, record);
    if (record.pauses & record::kPauseMove) [[unlikely]] on_touch(record);
  }
  // A frozen record for a socket that may become ours; it keeps its uid.  Null: there is no room.
  record::Record* admit(UniqueFd socket, const Arrival& arrival);
  bool begin(record::Record& record);      // It is ours: on_adopted().  False: it can't be watched.
  void turn_away(record::Record& record);  // It isn't, or can't be.  Nobody is told.
  int64_t deadline_ms(const record::Record& record) const;  // 0: none.
  // What is queued, oldest first; of the first frame outbound_offset bytes are out already.
  std::vector<std::string_view> outbound_frames(const record::Record& record) const;
  [[nodiscard]] bool restore_frame(record::Record& record, std::string_view bytes);
  void restore_begun(record::Record& record, uint32_t offset);  // So much of the first frame is out already.
  [[nodiscard]] bool restore_extras(record::Record& record, const record::Extras& extras);
  // Of a record with a Record::tls.
  record::TlsState& tls_state(const record::Record& record) const;
  std::string_view tls_carry(const record::Record& record) const;
  std::string_view negotiated_bytes(const record::Record& record) const;
  [[nodiscard]] bool restore_tls(record::Record& record, const record::TlsState& state, std::string_view carry,
                                 std::string_view negotiated);

  // --- The worker's loop.
  void tick(int64_t now_ms);  // Expires deadlines; every TimerWheel::kTickMs.
  void end_turn();            // Dispatches ready carries, writes what is queued.  Before the loop waits.
  bool has_pending_turn() const { return !ready_.empty() || !dirty_.empty() || !changed_streams_.empty(); }  // Work that needs no I/O.
  bool has_waiting_round() const { return !shared_.empty(); }  // end_turn() is wanted within a millisecond.

  void on_ready(uint64_t token, uint32_t events) override;

  // --- Adopting (connections_adoption.cc).
  struct Adopted {
    uint32_t connections = 0;
    uint32_t lost = 0;      // Damaged, or gone,
    std::vector<uint64_t> lost_uids;  // which ones, as far as their records say it.
    uint32_t requests = 0;  // Closed because a request was being answered, and nobody knows how far.
    uint32_t blamed = 0;    // Closed because serving it has killed the worker.
    uint32_t tls = 0;       // Closed because its TLS or HTTP/2 session has died with the worker.
  };
  // Takes over every connection of a dead worker: same slots, same generations, same epoll set.  `from` is its
  // arena, its open step taken back; restored: slots whose epoll registration may be out of date for that.
  // fill(from_record, record) copies what other layers have in the arena; false: it is damaged.
  // now: whom it was serving; blame: that one has killed it.
  using Fill = std::function<bool(const record::Record& from, record::Record& record)>;
  // is_ours(record) says whose a connection is that was frozen for a move; false: its descriptor is closed, no more.
  using IsOurs = std::function<bool(const record::Record& record)>;
  Adopted adopt_all(const record::Arena& from, const ipc::Life::Now& now, bool blame,
                    const std::vector<uint32_t>& restored, const IsOurs& is_ours, const Fill& fill);

  // Runs `work` for one connection as one step, when it isn't about its bytes.
  template <typename Work>
  void serve(record::Record& record, ipc::Doing doing, Work&& work) {
    say_now(record, doing);
    {
      record::Step step(arena_);
      record::touch(arena_, record);
      work();
    }
    say_nobody();
  }

  record::Arena& arena() { return arena_; }

 private:
  static constexpr int64_t kLingerMs = 2'000;        // FIN sent: wait for the peer's.
  static constexpr int64_t kFlushStallMs = 10'000;   // Closing, and the peer takes nothing.
  static constexpr size_t kRoundAtOnce = 64;
  static constexpr int64_t kRoundGapUsMin = 1'000;
  static constexpr int64_t kRoundGapUsMax = 25'000;

  // The connection whose bytes are being handled, and how much it has written to the turn buffer so far.
  struct Turn {
    record::ConnId id;
    size_t bytes = 0;
  };

  uint32_t reserved_for(uint32_t listen_id) const { return reserve_listens_.contains(listen_id) ? reserve_ : 0; }
  uint32_t take_slot();
  uint32_t slot_of(const record::Record& record) const;
  static uint64_t token_for(uint32_t slot, uint32_t generation) { return uint64_t{slot} << 32 | generation; }
  uint64_t address_key(const record::Record& record) const;
  bool count_address(record::Record& record);
  void release_counts(const record::Record& record);
  PhaseHandler& handler_of(const record::Record& record);

  void say_now(const record::Record& record, ipc::Doing doing);
  void say_nobody() { now_->uid = 0; }

  std::span<const char> land_carry(const record::Record& record);
  void read(record::Record& record);
  bool receive(record::Record& record);
  void received_nothing(record::Record& record, ssize_t received);
  void dispatch(record::Record& record, std::span<const char> bytes);
  void keep_carry(record::Record& record, std::span<const char> rest);
  void drop_carry(record::Record& record);
  void close_for_memory(record::Record& record);
  void maybe_end(record::Record& record);
  void go_on(record::Record& record);
  void discard_input(record::Record& record);

  bool in_turn(const record::Record& record) const;
  void begin_turn(const record::Record& record);
  void commit_turn();
  void write_turn(record::ConnId id);
  void turn_written(record::Record& record, size_t written);
  void turn_left(record::Record& record);
  bool spill_turn(record::Record& record);
  bool queue_copy(record::Record& record, std::string_view head, std::string_view body);
  bool append_frame(record::Record& record, record::Ref frame);  // The caller marks the record.
  void pop_frame(record::Record& record);
  size_t gather_outbound(const record::Record& record, std::span<iovec> vectors) const;
  void consume_outbound(record::Record& record, size_t bytes);
  void flush(record::Record& record);
  void flushed(record::Record& record, bool awaited);

  // Counts what a write has moved: of a session of OpenSSL not its plaintext but what went to the kernel.
  void count_sent(record::Record& record, size_t bytes);
  void count_moved(record::Record& record, size_t bytes);
  ssize_t write_some(const record::Record& record, const iovec* vectors, size_t count, int flags = 0);
  ssize_t receive_some(const record::Record& record, char* into, size_t room);
  bool open_tls(record::Record& record, uint32_t slot);
  void begin_tls(record::Record& record, std::span<const char> bytes);
  bool receive_tls(record::Record& record);
  bool shake_hands(record::Record& record, std::span<const char> bytes);
  void dispatch_plain_on_tls(record::Record& record, std::span<const char> bytes);
  bool dispatch_tls(record::Record& record, std::span<const char> ciphertext);
  bool secured(record::Record& record);
  void after_tls(record::Record& record, bool shook_hands);
  void push_after_read(record::ConnId id);
  bool push_tls(record::Record& record);
  bool tls_waits(const record::Record& record) const;
  bool tls_ended(record::Record& record);
  ssize_t send_file_tls(const record::Record& record, int file, off_t& offset, size_t count);

  record::TlsState& touch_tls(const record::Record& record);
  bool keep_tls(record::Record& record, const record::TlsState& state, std::string_view negotiated);
  void release_tls(record::Record& record);
  bool take_over_tls(record::Record& record);
  bool receive_records(record::Record& record);
  size_t land_ciphertext(const record::TlsState& state);
  bool open_records(record::Record& record, std::span<const char> ciphertext);
  bool keep_ciphertext(record::TlsState& state, std::span<const char> rest);
  bool holds_records(const record::Record& record) const;
  bool seals_now(const record::Record& record) const;
  void end_insecurely(record::Record& record, const tls::RecordLayer::Opened& opened);
  bool settle_turn(const record::Record& record, size_t bytes);
  bool settle_batch(const record::Record& record);
  bool seal_batch(const record::Record& record, std::string_view turn, std::string& out);
  TlsLinks::Push push_batch(const record::Record& record, std::string_view turn, size_t& moved);
  void batch_moved(record::Record& record, size_t moved, bool done);
  void end_batch(const record::Record& record, record::TlsState& state);
  void flush_records(record::Record& record);
  void write_turn_records(record::Record& record, std::string_view turn);
  size_t write_through(record::Record& record, std::string_view bytes);
  bool send_through_records(record::Record& record, std::string_view bytes);
  Result<size_t> send_file_records(record::Record& record, int file, off_t& offset, size_t count);
  bool records_ended(record::Record& record);
  bool copy_tls(const record::Arena& from, const record::Record& old, record::Record& record);
  bool reconcile_records(const record::Arena& from, record::Record& record);

  StreamLink* link_of(const record::Record& record) const;
  void serve_streams();
  uint32_t stream_events(const record::Record& record) const;

  void write_round();
  void flush_batch(uint8_t flag);
  void mark_dirty(record::Record& record);
  void mark_shared(record::Record& record);
  void mark_ready(record::Record& record);
  void arm(record::Record& record, bool read, bool write);
  void watch_for(const record::Record& record, uint32_t events);
  void peer_gone(record::Record& record);
  bool roots_by_http2(const record::Record& record) const;
  void leave_phase(record::Record& record);
  void begin_linger(record::Record& record);
  void free_record(record::Record& record);
  void release_record(record::Record& record);
  void on_touch(record::Record& record);
  bool watch(record::Record& record);

  bool copy_record(const record::Arena& from, const record::Record& old, record::Record& record, const Fill& fill);
  bool copy_extras(const record::Arena& from, const record::Record& old, record::Record& record);
  bool copy_outbound(const record::Arena& from, const record::Record& old, record::Record& record);
  bool reconcile(const record::Arena& from, record::Record& record);
  bool is_as_known(const record::Record& record) const;
  void index_record(record::Record& record);
  void unfreeze(record::Record& record);
  void register_again(record::Record& record);

  record::Arena& arena_;
  Poller& poller_;
  metrics::Page& metrics_;
  const uint16_t worker_;
  ConnectionLimits limits_;
  std::function<void(record::Record&)> on_free_;
  PhaseHandler* handlers_[static_cast<size_t>(record::kLastPhase) + 1] = {};
  TimerWheel wheel_;
  ipc::Life::Now nobody_watches_;
  ipc::Life::Now* now_ = &nobody_watches_;
  Turn turn_;
  record::ConnId before_file_{UINT32_MAX, 0};  // A file follows its queue, which shall not travel alone.
  TlsLinks tls_;
  std::unordered_map<uint32_t, std::unique_ptr<StreamLink>> links_;  // By slot.
  std::vector<record::ConnId> changed_streams_;
  uint32_t http2_rooted_ = 0;  // Connections in phase Http2 that neither of the two counts.
  std::vector<record::ConnId> dirty_;
  std::vector<record::ConnId> ready_;
  std::vector<record::ConnId> shared_;
  std::vector<record::ConnId> batch_;  // One of these lists while it is worked off.
  int64_t next_round_us_ = 0;  // Monotonic; not before.
  std::vector<uint32_t> free_slots_;
  std::unordered_map<uint64_t, uint32_t> slot_of_uid_;  // Of those whose uid doesn't tell it.
  UserIndex users_;
  uint32_t& slots_touched_;
  uint32_t active_ = 0;
  uint32_t nonce_;
  std::unordered_map<record::Ref, record::Ref> copied_frames_;  // While adopting: old frame to its copy.
  uint32_t reserve_ = 0;  // See set_reserve().
  std::unordered_set<uint32_t> reserve_listens_;
};

}  // namespace beamgate::net
