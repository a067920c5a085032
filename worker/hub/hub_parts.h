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
  char epoch[16] = {};      // Zero-terminated.
  uint32_t index = 0;       // Of the Channel; rebuilt with it.
  uint16_t name_bytes = 0;  // The name follows.
  uint16_t confirmed = 0;   // The master has acknowledged the interest.

  char* name_start() { return reinterpret_cast<char*>(this + 1); }
  std::string_view name() { return {name_start(), name_bytes}; }
  std::string_view epoch_text() const { return {epoch, strnlen(epoch, sizeof epoch)}; }
};

// One entry of Record::subscriptions.
struct Hub::Subscription {
  Ref channel = kNull;     // ChannelBlock
  uint32_t position = 0;   // In the Channel's arrays.
  uint64_t after = 0;      // Publications up to here it had from another worker; 0 once they have passed.
};

// The index over the subscriptions of one channel.
struct Hub::Channel {
  Ref block = kNull;
  std::vector<uint32_t> slots;     // Subscribers.
  std::vector<uint32_t> entries;   // Parallel: which of the subscriber's subscriptions this is.
  std::vector<ConnId> pending;     // Who is told when the interest is confirmed.
  uint32_t ahead = 0;              // Subscriptions with an `after`.
  uint32_t holds = 0;              // hold() calls that are not released.
  uint64_t hold = 0;               // Name of its publications in the Replay while it is held.
  uint64_t kept_from = 0;          // Publications behind this one are in the Replay while it is held.
};

}  // namespace beamgate::hub
