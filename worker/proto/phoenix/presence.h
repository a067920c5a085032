// Presence: the members of a channel as phoenix.js's Presence class wants them.
//
// Format     presence_state {"u-7":{"metas":[{"phx_ref":"...", ...}]}}, presence_diff
// {"joins":STATE,"leaves":STATE}.
//            A key is a user, or the connection's id where it has none; each connection is one meta: what it
//            says of itself, an object's members or {"info":...}, and its phx_ref.
// Refs       A connection's own in this channel.  A member that says something else of itself leaves under its old
//            ref and joins with a new one, whose phx_ref_prev is the old one.
#pragma once

#include <string>
#include <vector>

#include "common/ipc/messages.h"

namespace beamgate::proto::phoenix {

constexpr std::string_view kPresenceState = "presence_state";
constexpr std::string_view kPresenceDiff = "presence_diff";
// Instead of the two where a channel has more members than are told: {"users":N,"connections":N}.
constexpr std::string_view kPresenceCount = "presence_count";

std::string phx_ref(const ipc::Member& member);

std::string presence_state(const std::vector<ipc::Member>& members);

// Mostly one diff; more when somebody comes and goes within the change: a client takes all joins of a diff
// first.
std::vector<std::string> presence_diffs(const std::vector<ipc::MemberChange>& changes);

std::string presence_count(uint32_t users, uint32_t connections);

}  // namespace beamgate::proto::phoenix
