#include "master/hub/presence_table.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"

namespace beamgate::master {

using ipc::MemberEvent;

bool PresenceTable::enter(std::string_view name, const ipc::Member& member, uint16_t slot, const Rules& rules,
                          bool quiet, int64_t now_ms) {
  auto found = channels_.find(name);
  if (found == channels_.end()) {
    if (members_ >= kMembersMax) return false;
    found = open(name);
  }
  Channel& channel = found->second;
  channel.rules = rules;
  const auto known = channel.connections.find(member.uid);
  if (known != channel.connections.end() && known->second.user == member.user) {
    Connection& connection = known->second;
    connection.slot = slot;
    connection.confirmed = true;
    connection.protocol = member.protocol;
    if (connection.info == member.info) return true;
    connection.info = member.info;
    connection.since_ms = member.since_ms;
    if (!quiet) note(*found, MemberEvent::Updated, false, connection);
    return true;
  }
  if (known != channel.connections.end()) remove(*found, member.uid, now_ms);  // It is somebody else now.
  if (members_ >= kMembersMax) return forget_if_empty(found), false;
  Connection& connection = channel.connections[member.uid];
  connection = {member.uid, member.since_ms, member.protocol, slot, true, std::string(member.user), std::string(member.info)};
  ++members_;
  const bool is_new = channel.users.find(member.user) == channel.users.end();
  User& user = channel.users[connection.user];
  if (is_new) user.joined_ms = wall_ms();
  ++user.connections;
  const bool was_leaving = user.leaves_at_ms != 0;
  if (was_leaving) await_no_leave(user);
  adjust_mode(*found);
  if (!quiet) note(*found, MemberEvent::Entered, is_new, connection);
  // Others have been told nothing of the connection that it had left with.
  if (was_leaving) note(*found, MemberEvent::Left, false, std::exchange(user.last, Connection{}));
  if (is_new && !quiet && on_user_change_) {
    on_user_change_({found->first, connection.user, connection.info, true, user.joined_ms, 0});
  }
  return true;
}

void PresenceTable::leave(std::string_view name, uint64_t uid, uint16_t slot, int64_t now_ms) {
  const auto found = channels_.find(name);
  if (found == channels_.end()) return;
  const auto connection = found->second.connections.find(uid);
  if (connection == found->second.connections.end() || connection->second.slot != slot) return;
  remove(*found, uid, now_ms);
  forget_if_empty(found);
}

void PresenceTable::remove(Channels::value_type& entry, uint64_t uid, int64_t now_ms) {
  Channel& channel = entry.second;
  auto node = channel.connections.extract(uid);
  Connection& connection = node.mapped();
  --members_;
  const auto found = channel.users.find(std::string_view(connection.user));
  User& user = found->second;
  if (--user.connections > 0) return note(entry, MemberEvent::Left, false, connection);
  user.left_ms = wall_ms();
  user.last = std::move(connection);
  if (channel.rules.leave_delay_ms == 0) return end_user(entry, found->first);
  await_leave(entry.first, found->first, user, now_ms + channel.rules.leave_delay_ms);
}

size_t PresenceTable::bytes_of(const User& leaving) {
  return sizeof leaving + leaving.last.user.size() + leaving.last.info.size();
}

void PresenceTable::await_leave(const std::string& channel, const std::string& name, User& user, int64_t at_ms) {
  user.leaves_at_ms = at_ms;
  user.leaving = leaving_.emplace(at_ms, std::pair(channel, name));
  leaving_bytes_ += bytes_of(user);
}

void PresenceTable::await_no_leave(User& user) {
  leaving_bytes_ -= bytes_of(user);
  leaving_.erase(user.leaving);
  user.leaves_at_ms = 0;
}

void PresenceTable::end_user(Channels::value_type& entry, std::string_view name) {
  Channel& channel = entry.second;
  const auto found = channel.users.find(name);
  const User user = std::move(found->second);
  const std::string whose = found->first;
  channel.users.erase(found);
  adjust_mode(entry);
  note(entry, MemberEvent::Left, true, user.last);
  if (on_user_change_) {
    on_user_change_({entry.first, whose, user.last.info, false, user.joined_ms, user.left_ms});
  }
}

int64_t PresenceTable::expire(int64_t now_ms) {
  while (!leaving_.empty() && (leaving_.begin()->first <= now_ms || leaving_bytes_ > kLeavingBytesMax)) {
    const auto [channel, user] = leaving_.begin()->second;
    const auto found = channels_.find(std::string_view(channel));
    await_no_leave(found->second.users.find(std::string_view(user))->second);
    end_user(*found, user);
    forget_if_empty(found);
  }
  return leaving_.empty() ? 0 : leaving_.begin()->first;
}

template <typename Wanted, typename Channels, typename Visit>
static void for_each_wanted(Channels& channels, Wanted wanted, Visit visit) {
  for (auto next = channels.begin(); next != channels.end();) {
    auto entry = next++;
    std::vector<uint64_t> uids;
    for (const auto& [uid, connection] : entry->second.connections) {
      if (wanted(connection)) uids.push_back(uid);
    }
    if (!uids.empty()) visit(entry, uids);
  }
}

void PresenceTable::drop_slot(uint16_t slot, int64_t now_ms) {
  for_each_wanted(channels_, [slot](const Connection& connection) { return connection.slot == slot; },
                  [&](auto entry, const std::vector<uint64_t>& uids) {
                    for (const uint64_t uid : uids) remove(*entry, uid, now_ms);
                    forget_if_empty(entry);
                  });
}

void PresenceTable::doubt_slot(uint16_t slot) {
  for (auto& [name, channel] : channels_) {
    for (auto& [uid, connection] : channel.connections) {
      if (connection.slot == slot) connection.confirmed = false;
    }
  }
}

void PresenceTable::drop_unconfirmed(uint16_t slot, int64_t now_ms) {
  for_each_wanted(channels_, [slot](const Connection& c) { return c.slot == slot && !c.confirmed; },
                  [&](auto entry, const std::vector<uint64_t>& uids) {
                    for (const uint64_t uid : uids) remove(*entry, uid, now_ms);
                    forget_if_empty(entry);
                  });
}

void PresenceTable::adopt(std::string_view name, Connection connection, const Stay& stay, const Rules& rules) {
  Channel& channel = open(name)->second;
  channel.rules = rules;
  User& user = channel.users[connection.user];
  user.joined_ms = stay.joined_ms;
  if (user.leaves_at_ms != 0) await_no_leave(user);
  if (stay.leaves_at_ms == 0) {
    ++user.connections;
    ++members_;
    channel.connections[connection.uid] = std::move(connection);
  } else if (user.connections == 0) {
    user.left_ms = stay.left_ms;
    user.last = std::move(connection);
    await_leave(std::string(name), user.last.user, user, stay.leaves_at_ms);
  }
  if (channel.users.size() > channel.rules.limit) channel.listed = false;
}

void PresenceTable::adopt_counted(std::string_view name) {
  if (const auto found = channels_.find(name); found != channels_.end()) found->second.listed = false;
}

PresenceTable::Channels::iterator PresenceTable::open(std::string_view name) {
  const auto [entry, is_new] = channels_.try_emplace(std::string(name));
  if (is_new) by_name_.insert(&*entry);
  return entry;
}

// One with changes stays until they are told.
void PresenceTable::forget_if_empty(Channels::iterator entry) {
  if (!entry->second.users.empty() || entry->second.changed) return;
  by_name_.erase(&*entry);
  channels_.erase(entry);
}

uint32_t PresenceTable::users(std::string_view name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? 0 : static_cast<uint32_t>(found->second.users.size());
}

uint32_t PresenceTable::connections(std::string_view name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? 0 : static_cast<uint32_t>(found->second.connections.size());
}

bool PresenceTable::listed(std::string_view name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() || found->second.listed;
}

// Who is about to leave is still there for everybody.
std::vector<ipc::Member> PresenceTable::list(std::string_view name, size_t max) const {
  std::vector<ipc::Member> out;
  const auto found = channels_.find(name);
  if (found == channels_.end()) return out;
  for (const auto& [uid, connection] : found->second.connections) {
    if (out.size() == max) return out;
    out.push_back(connection.view());
  }
  for (const auto& [whose, user] : found->second.users) {
    if (out.size() == max) return out;
    if (user.leaves_at_ms != 0) out.push_back(user.last.view());
  }
  return out;
}

std::vector<ipc::Present> PresenceTable::present(std::string_view prefix, std::string_view after, size_t max,
                                                 bool& more) const {
  std::vector<ipc::Present> out;
  more = false;
  auto next = after < prefix ? by_name_.lower_bound(prefix) : by_name_.upper_bound(after);
  for (size_t channels = 0; next != by_name_.end() && (*next)->first.starts_with(prefix); ++next) {
    const auto& [name, channel] = **next;
    if (channel.users.empty()) continue;  // What has changed there isn't told yet.
    if ((more = channels++ == max)) break;
    for (const auto& [whose, user] : channel.users) out.push_back({name, whose, user.connections, user.joined_ms});
  }
  return out;
}

// --- What members are told.

void PresenceTable::note(Channels::value_type& entry, MemberEvent event, bool whole_user, const Connection& connection) {
  Channel& channel = entry.second;
  if (!channel.rules.told) return;
  if (channel.listed && !channel.relisted) channel.changes.push_back({event, whole_user, connection});
  if (channel.changed) return;
  channel.changed = true;
  changed_.push_back(entry.first);
}

// What is left of a list that has become numbers means nothing any more.
void PresenceTable::adjust_mode(Channels::value_type& entry) {
  Channel& channel = entry.second;
  const size_t users = channel.users.size();
  if (channel.listed && users > channel.rules.limit) {
    channel.listed = channel.relisted = false;
    channel.changes.clear();
  } else if (!channel.listed && users <= channel.rules.limit / 2) {
    channel.listed = channel.relisted = true;
  }
}

PresenceTable::Changes PresenceTable::counts_of(const Channels::value_type& entry) {
  const Channel& channel = entry.second;
  return {.channel = entry.first,
          .users = static_cast<uint32_t>(channel.users.size()),
          .connections = static_cast<uint32_t>(channel.connections.size()),
          .listed = channel.listed,
          .changes = {}};
}

PresenceTable::Changes PresenceTable::whole(std::string_view name) const {
  const auto found = channels_.find(name);
  if (found == channels_.end()) return {.channel = name, .whole = true, .changes = {}};
  Changes out = counts_of(*found);
  out.whole = out.listed;
  if (!out.listed) return out;
  size_t bytes = 0;
  for (const ipc::Member& member : list(name, SIZE_MAX)) {
    bytes += member.user.size() + member.info.size() + ipc::MemberChange::kBytesMin;
    out.changes.push_back({MemberEvent::Entered, true, member});
  }
  if (bytes <= ipc::kStateBytesMax) return out;
  out.listed = out.whole = false;
  out.changes.clear();
  return out;
}

bool PresenceTable::tell_channel(Channels::value_type& entry, int64_t now_ms,
                                 const std::function<void(const Changes&)>& tell) {
  Channel& channel = entry.second;
  const bool counted = !channel.listed || channel.relisted;  // Until it is told otherwise.
  if (counted && now_ms - channel.told_ms < kCountMs) return false;
  if (counted) channel.told_ms = now_ms;
  if (channel.relisted) {
    const Changes changes = whole(entry.first);
    channel.listed = changes.listed;
    tell(changes);
  } else {
    Changes changes = counts_of(entry);
    for (const Change& change : channel.changes) {
      changes.changes.push_back({change.event, change.whole_user, change.connection.view()});
    }
    tell(changes);
  }
  channel.changes.clear();
  channel.changed = channel.relisted = false;
  return true;
}

void PresenceTable::take_changes(int64_t now_ms, const std::function<void(const Changes&)>& tell) {
  std::vector<std::string> later;
  for (std::string& name : std::exchange(changed_, {})) {
    const auto found = channels_.find(std::string_view(name));
    if (found == channels_.end() || !found->second.changed) continue;
    if (!tell_channel(*found, now_ms, tell)) {
      later.push_back(std::move(name));
      continue;
    }
    forget_if_empty(found);
  }
  changed_.insert(changed_.end(), std::make_move_iterator(later.begin()), std::make_move_iterator(later.end()));
}

void PresenceTable::take_changes_of(std::string_view name, int64_t now_ms,
                                    const std::function<void(const Changes&)>& tell) {
  if (changed_.empty()) return;
  const auto found = channels_.find(name);
  if (found == channels_.end() || !found->second.changed) return;
  if (tell_channel(*found, now_ms, tell)) forget_if_empty(found);  // Its name in changed_ is passed over.
}

}  // namespace beamgate::master
