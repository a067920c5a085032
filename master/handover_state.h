// HandoverState: what one image of the master leaves to the next when it executes another binary in its place, and,
// without the hub's part, what it leaves to another process when it is killed (keeper/master_keeper.h).
//
// Format     "BGMS" u16 version u16 zero u32 items u64 hash of the items (stable_hash), then items: u16 type (bit 15:
//            critical) u32 length, bytes.  Little endian; fields as in common/ipc/wire.h.  Types are never reused,
//            an item's fields never change: what is new has a type of its own.  Unknown items are skipped, unless
//            they are critical: then the reader refuses.
// Lifetime   Texts borrow from what they were read from, or are going to be written from.
// Limits     Slots below ipc::kSlotsMax.  Nothing in it is trusted: parse() says Invalid.
// Descriptors are numbers; whoever reads the state for real owns them from then on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/messages.h"

namespace beamgate::master {

struct HandoverState {
  static constexpr uint16_t kVersion = 1;

  struct Process {  // One.
    uint32_t generation = 0;
    uint32_t next_generation = 0;
    uint16_t next_worker = 0;
    uint16_t columns = 0;         // Slots that have sockets.
    uint64_t address_seed = 0;
    int64_t started_ms = 0;
    bool reload_again = false;    // A HUP waits.
    bool upgrade_again = false;   // A USR2 waits.
    int32_t log = -1;             // -1: stderr.
    int32_t pages = -1;
    uint64_t pages_layout = 0;    // SharedPages::layout()
    int32_t lives = -1;
    uint64_t lives_layout = 0;    // SharedPages::lives_layout()
    uint64_t next_call = 1;
    std::string_view config;      // The text in force.
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.generation), v(m.next_generation), v(m.next_worker), v(m.columns), v(m.address_seed), v(m.started_ms);
      v(m.reload_again), v(m.upgrade_again), v(m.log), v(m.pages), v(m.pages_layout), v(m.lives), v(m.lives_layout);
      v(m.next_call), v(m.config);
    }
  };
  struct Listen {
    uint32_t id = 0;
    std::string_view text;
    std::string_view address;  // A sockaddr.
    int32_t backlog = 0;
    bool ipv6_only = false;
    uint64_t inode = 0;
    std::vector<int32_t> sockets;  // By column.
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.id), v(m.text), v(m.address), v(m.backlog), v(m.ipv6_only), v(m.inode), v(m.sockets);
    }
  };
  struct Slot {
    uint16_t slot = 0;
    uint16_t worker = 0;
    int32_t pid = 0;       // 0: none lives.
    uint8_t state = 0;     // WorkerState
    bool wanted = false;
    int32_t bus = -1;      // -1: it has hung up.
    bool said_hello = false;
    bool serving = false;
    uint64_t bus_sent = 0;      // Stream positions.
    uint64_t bus_received = 0;
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.slot), v(m.worker), v(m.pid), v(m.state), v(m.wanted), v(m.bus), v(m.said_hello), v(m.serving);
      v(m.bus_sent), v(m.bus_received);
    }
  };
  struct Channel {
    std::string_view name;
    std::string_view epoch;
    uint64_t offset = 0;
    int64_t idle_since_ms = 0;  // Of one that nobody is interested in.
    std::vector<uint16_t> interested;
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.name), v(m.epoch), v(m.offset), v(m.idle_since_ms), v(m.interested);
    }
  };
  struct Publication {  // Of a channel's history.
    std::string_view channel;
    uint64_t offset = 0;
    int64_t time_ms = 0;
    uint8_t kind = 0;
    uint64_t sender = 0;
    std::string_view user;
    std::string_view event;
    std::string_view payload;
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.channel), v(m.offset), v(m.time_ms), v(m.kind), v(m.sender), v(m.user), v(m.event), v(m.payload);
    }
  };
  struct Member {  // Of a channel with presence.
    std::string_view channel;
    uint64_t uid = 0;
    int64_t since_ms = 0;
    uint8_t protocol = 0;
    uint16_t slot = 0;
    std::string_view user;
    std::string_view info;
    int64_t joined_ms = 0;     // Of the user.
    int64_t leaves_at_ms = 0;  // Its last connection, which is gone: monotonic; 0: connected.
    int64_t left_ms = 0;
    template <typename V, typename M>
    static void visit(V& v, M& m) {
      v(m.channel), v(m.uid), v(m.since_ms), v(m.protocol), v(m.slot), v(m.user), v(m.info);
      v(m.joined_ms), v(m.leaves_at_ms), v(m.left_ms);
    }
  };
  struct Presence {  // Of a channel: how far its members' changes were told, and how.
    std::string_view channel;
    uint64_t number = 0;
    bool counted = false;      // As numbers.
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.channel), v(m.number), v(m.counted); }
  };
  struct Journal {  // One: where the numbers of presence changes are, and how far applications were told.
    uint64_t incarnation = 0;
    uint64_t sequence = 0;
    uint64_t told = 0;
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.incarnation), v(m.sequence), v(m.told); }
  };
  struct Receipt {  // Of the idempotency table.
    std::string_view key;  // Channel, zero byte, key.
    std::string_view epoch;
    uint64_t offset = 0;
    int64_t since_ms = 0;
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.key), v(m.epoch), v(m.offset), v(m.since_ms); }
  };
  struct Call {
    uint64_t number = 0;
    uint16_t asker = 0;
    uint64_t ticket = 0;
    int64_t since_ms = 0;
    std::vector<uint16_t> waiting;
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.number), v(m.asker), v(m.ticket), v(m.since_ms), v(m.waiting); }
  };

  struct Event {  // Of the history (common/ipc/recent.h).
    int64_t time_ms = 0;
    int32_t pid = 0;
    uint8_t level = 0;
    std::string_view text;
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.time_ms), v(m.pid), v(m.level), v(m.text); }
  };
  struct Kin {  // One, or none: processes that the next image knows by their number.
    int32_t keeper = 0;            // The master's own; 0: none.
    std::vector<int32_t> groups;   // Process groups of earlier masters that workers may still be in.
    template <typename V, typename M>
    static void visit(V& v, M& m) { v(m.keeper), v(m.groups); }
  };

  Process process;
  Kin kin;
  std::vector<Listen> listens;
  std::vector<Slot> slots;
  std::vector<Channel> channels;  // Idle ones in the order of their idleness.
  std::vector<Publication> publications;  // Of each channel the oldest first.
  std::vector<Member> members;
  std::vector<Presence> presence;
  Journal journal;
  std::vector<ipc::UserChange> user_changes;  // The latest, oldest first.
  std::vector<Receipt> receipts;  // Oldest first.
  std::vector<Call> calls;
  std::vector<Event> history;     // Oldest first.

  std::vector<int> descriptors() const;
  // The same, by other numbers in the same order.  REQUIRES: as many as descriptors() has.
  void renumber(const std::vector<int>& numbers);
};

std::string serialise(const HandoverState& state);
// Invalid with what is wrong; the result borrows from `bytes`.
Result<HandoverState> parse_handover_state(std::string_view bytes);

// As a file in memory, and back.
Result<UniqueFd> write_file(std::string_view bytes);
Result<std::string> read_file(int descriptor);

}  // namespace beamgate::master
