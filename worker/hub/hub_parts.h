// Hub parts: what a channel and a subscription are to hub.cc and hub_moving.cc.
#pragma once

#include <cstring>

#include "worker/hub/hub.h"

namespace beamgate::hub {

using record::ConnId;
using record::kNull;
using record::Ref;

// What of a channel must survive: in the arena, named by every subscription to it.
struct Hub::ChannelBlock {
  uint64_t offset = 0;      // Of the newest publication delivered here.
  uint64_t presence = 0;    // Of the newest change of its members.
  char epoch[16] = {};      // Zero-terminated.
  uint32_t index = 0;       // Of the Channel; rebuilt with it.
  uint16_t name_bytes = 0;  // The name follows.
  uint16_t confirmed = 0;   // The master has acknowledged the interest.

  ipc::Place place() const { return {offset, presence}; }

  char* name_start() { return reinterpret_cast<char*>(this + 1); }
  std::string_view name() { return {name_start(), name_bytes}; }
  std::string_view epoch_text() const { return {epoch, strnlen(epoch, sizeof epoch)}; }
};

// One entry of Record::subscriptions.
struct Hub::Subscription {
  Ref channel = kNull;     // ChannelBlock
  uint32_t position = 0;   // In the Channel's arrays.
  ipc::Place ahead;        // Up to here it was told by another worker; 0 once that has passed here too.
  Ref note = kNull;        // Text: an encoded Note; none of a plain subscription.
  uint32_t flags = 0;      // SubscriptionFlag
};

enum SubscriptionFlag : uint32_t {
  kJoining = 1 << 0,       // The master has not answered the Join: it is in none of the Channel's arrays.
  kMemberTold = 1 << 1,    // The master has been told by this worker that it is a member.
  kListOwed = 1 << 2,      // What it was told of the members isn't known: it is to be told all of them.
};

// What a subscription is beside its place.
struct Hub::Note {
  std::string_view tag;
  bool member = false;
  std::string_view user;
  std::string_view info;
  int64_t since_ms = 0;    // Unix time of the join.
  uint8_t wants = 0;       // This and what follows: of a join that isn't done.
  std::string_view epoch;
  uint64_t after = 0;
  uint32_t publications_max = 0;
  uint32_t members_max = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.tag), v(m.member), v(m.user), v(m.info), v(m.since_ms), v(m.wants), v(m.epoch), v(m.after);
    v(m.publications_max), v(m.members_max);
  }
  bool empty() const { return tag.empty() && !member && wants == 0; }
};

// The index over the subscriptions of one channel.
struct Hub::Channel {
  Ref block = kNull;
  std::vector<uint32_t> slots;     // Subscribers.
  std::vector<uint32_t> entries;   // Parallel: which of the subscriber's subscriptions this is.
  std::vector<ConnId> pending;     // Who is told when the interest is confirmed.
  uint32_t joining = 0;            // Subscriptions of this channel that are kJoining.
  ipc::Place ahead;                // How many subscriptions are ahead, in each.
  uint32_t holds = 0;              // hold() calls that are not released.
  uint64_t hold = 0;               // Name of its publications in the Replay while it is held.
  ipc::Place kept_from;            // What came behind is in the Replay while it is held.

  size_t subscribers() const { return slots.size() + joining; }
  // Somebody depends on what the ChannelBlock says of its place.
  bool in_use() const { return !slots.empty() || holds > 0 || joining > 0; }
};

}  // namespace beamgate::hub
