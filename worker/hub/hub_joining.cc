// The joining part of Hub: subscriptions that begin with a question to the master, and members of channels.
#include <algorithm>

#include "common/base/clock.h"
#include "common/ipc/wire.h"
#include "worker/hub/hub_parts.h"
#include "worker/record/text_block.h"

namespace beamgate::hub {

using record::Record;

// --- Notes.

Hub::Note Hub::note_of(const Subscription& subscription) const {
  Note note;
  ipc::decode(record::text_of(arena_, subscription.note), note);
  return note;
}

bool Hub::set_note(Subscription& subscription, const Note& note) {
  arena_.save(subscription);
  return record::assign_text(arena_, subscription.note, note.empty() ? std::string() : ipc::encode(note));
}

std::string_view Hub::tag_of(const Record& record, std::string_view channel) const {
  const Subscription* subscription = find_subscription(record, channel);
  return subscription == nullptr ? std::string_view() : note_of(*subscription).tag;
}

bool Hub::set_tag(Record& record, std::string_view channel, std::string_view tag) {
  Subscription* subscription = find_subscription(record, channel);
  if (subscription == nullptr) return false;
  Note note = note_of(*subscription);
  note.tag = tag;
  return set_note(*subscription, note);
}

bool Hub::is_joining(const Record& record, std::string_view channel) const {
  const Subscription* subscription = find_subscription(record, channel);
  return subscription != nullptr && (subscription->flags & kJoining) != 0;
}

std::optional<std::string_view> Hub::member_info(const Record& record, std::string_view channel) const {
  const Subscription* subscription = find_subscription(record, channel);
  if (subscription == nullptr) return std::nullopt;
  const Note note = note_of(*subscription);
  if (!note.member) return std::nullopt;
  return note.info;
}

// --- Joining.

Result<void> Hub::join(Record& record, std::string_view name, const JoinOptions& options) {
  if (!valid_channel(name)) return Error{Code::Invalid, 0, "not a channel name"};
  if (is_subscribed(record, name)) return Error{Code::Invalid, 0, "subscribed already"};
  if (options.member && (options.user.empty() || options.user.size() > ipc::kUserBytesMax)) {
    return Error{Code::Invalid, 0, "a member needs a user of 1 to 200 bytes"};
  }
  if (options.info.size() > ipc::kMemberInfoBytesMax) return Error{Code::LimitReached, 0, "member info above 16k"};
  if (record.subscription_count >= kSubscriptionsMax) {
    return Error{Code::LimitReached, 0, "too many subscriptions on this connection"};
  }
  Channel* channel = find_channel(name);
  if (!admits(name, channel)) return Error{Code::LimitReached, 0, "the channel is full"};
  if (channel == nullptr) channel = open_channel(name);
  if (channel == nullptr) return count(name, nullptr), Error{Code::LimitReached, 0, "no memory for another channel"};
  const Note note{.tag = options.tag, .member = options.member, .user = options.user, .info = options.info,
                  .since_ms = wall_ms(), .wants = wants_of(name, options.wants), .epoch = options.epoch, .after = options.after,
                  .publications_max = options.publications_max, .members_max = options.members_max};
  Subscription* subscription = add_subscription(record, *channel, {});
  if (subscription == nullptr || !set_note(*subscription, note)) {
    if (subscription != nullptr) --record.subscription_count, metrics_.subtract(metrics::Metric::HubSubscriptions);
    count(*channel);
    close_if_unused(*channel);
    return Error{Code::LimitReached, 0, "no memory for another subscription"};
  }
  const ChannelBlock& block = block_of(*channel);
  if (!options.member && note.wants == 0 && block.confirmed != 0) {
    enter_channel(record, *subscription, *channel);
    deliverer_.joined(record, options.tag,
                      {.channel = block_of(*channel).name(), .epoch = block.epoch_text(), .offset = block.offset});
    return {};
  }
  ++channel->joining;
  count(*channel);
  subscription->flags |= kJoining;
  send_join(record, *subscription, note, false);
  return {};
}

void Hub::send_join(const Record& record, Subscription& subscription, const Note& note, bool quiet) {
  const bool joining = (subscription.flags & kJoining) != 0;
  ipc::Join message{.channel = block_of(channel_of(subscription)).name(), .is_member = note.member, .quiet = quiet,
                    .member = {}, .wants = note.wants, .epoch = note.epoch, .after = note.after,
                    .publications_max = note.publications_max, .members_max = note.members_max};
  if (joining) {
    message.ticket = next_ticket_++;
    joining_.emplace(message.ticket, ConnId{slot_of(record), record.generation});
  }
  if (note.member) {
    message.member = {record.uid, note.since_ms, static_cast<uint8_t>(record.protocol), note.user, note.info};
    arena_.save(subscription);
    subscription.flags |= kMemberTold;
  }
  bus_.send_join(message);
}

void Hub::on_channel_state(const ipc::ChannelState& message) {
  if (const auto asked = asked_.find(message.ticket); asked != asked_.end()) {
    const OnState done = std::move(asked->second);
    asked_.erase(asked);
    return done(message);
  }
  const auto found = joining_.find(message.ticket);
  if (found == joining_.end()) return;
  const ConnId id = found->second;
  joining_.erase(found);
  Record& record = arena_.records()[id.slot];
  if (record.generation != id.generation || record.phase == record::Phase::Free) return;
  Subscription* subscription = find_subscription(record, message.channel);
  if (subscription == nullptr || (subscription->flags & kJoining) == 0) return;
  record::touch(arena_, record);
  finish_join(record, *subscription, message);
  if (on_subscribed_) on_subscribed_(id, message.channel);
}

void Hub::finish_join(Record& record, Subscription& subscription, const ipc::ChannelState& state) {
  Note note = note_of(subscription);
  const std::string tag(note.tag);
  if (!state.answered) {
    unsubscribe(record, state.channel);
    return deliverer_.joined(record, tag, state);
  }
  Channel& channel = channel_of(subscription);
  --channel.joining;
  arena_.save(subscription);
  subscription.flags &= ~kJoining;
  enter_channel(record, subscription, channel);
  if (note.wants != 0) {
    note.wants = 0;
    note.epoch = {};
    note.after = note.publications_max = note.members_max = 0;
    set_note(subscription, note);  // Where there is no memory, the old one does no harm.
  }
  deliverer_.joined(record, tag, state);
}

bool Hub::update_member(Record& record, std::string_view channel, std::string_view info) {
  Subscription* subscription = find_subscription(record, channel);
  if (subscription == nullptr || info.size() > ipc::kMemberInfoBytesMax) return false;
  Note note = note_of(*subscription);
  if (!note.member) return false;
  if (note.info != info) ++note.since_ms;  // What it says now has a time of its own (ipc::Member).
  note.info = info;
  if (!set_note(*subscription, note)) return false;
  note = note_of(*subscription);
  if ((subscription->flags & kJoining) == 0) send_join(record, *subscription, note, false);
  return true;
}

// --- Members that come from somewhere else.

bool Hub::tell_members(Record& record, bool quiet) {
  bool told = false;
  for (Subscription& subscription : subscriptions_of(record)) {
    const Note note = note_of(subscription);
    if (note.member || (subscription.flags & kJoining) != 0) {
      send_join(record, subscription, note, quiet);
      told = true;
    }
    if ((subscription.flags & kListOwed) != 0) ask_list(record, subscription);
  }
  return told;
}

// Behind the changes that the answer includes, before those that it doesn't.
void Hub::ask_list(const Record& record, const Subscription& subscription) {
  const ConnId id{slot_of(record), record.generation};
  ask({.channel = block_of(channel_of(subscription)).name(), .wants = ipc::kStateMembers,
       .members_max = ipc::kStateListMax},
      [this, id](const ipc::ChannelState& state) {
        Record& to = arena_.records()[id.slot];
        if (!state.answered || to.generation != id.generation || to.phase == record::Phase::Free) return;
        Subscription* owed = find_subscription(to, state.channel);
        if (owed == nullptr || (owed->flags & kListOwed) == 0) return;
        record::touch(arena_, to);
        arena_.save(*owed);
        owed->flags &= ~kListOwed;
        ipc::PresenceChange list{.number = block_of(channel_of(*owed)).presence, .channel = state.channel,
                                 .users = state.users, .connections = state.connections, .listed = state.listed,
                                 .whole = state.listed, .changes = {}};
        for (const ipc::Member& member : state.members) list.changes.push_back({ipc::MemberEvent::Entered, true, member});
        deliverer_.deliver_presence(list, {&id.slot, 1});
      });
}

void Hub::tell_all_members(bool quiet) {
  const uint32_t slots = std::min(arena_.vault().slots_touched, arena_.slots());
  for (uint32_t slot = 0; slot < slots; ++slot) {
    Record& record = arena_.records()[slot];
    if (record.phase != record::Phase::Free && record.subscription_count > 0) tell_members(record, quiet);
  }
}

void Hub::forget_members(Record& record) {
  for (Subscription& subscription : subscriptions_of(record)) {
    arena_.save(subscription);
    subscription.flags &= ~kMemberTold;
  }
}

// What the arena says of the deliveries and of the message that ends the keeping is committed together: a worker's death
// between them brings nothing twice.
void Hub::fetch_kept(Record& record, std::string_view channel) {
  const ConnId id{slot_of(record), record.generation};
  ask({.channel = channel, .wants = ipc::kStateNewest, .publications_max = ipc::kStateListMax},
      [this, id](const ipc::ChannelState& state) {
        Record& to = arena_.records()[id.slot];
        if (!state.answered || state.publications.empty() || to.generation != id.generation) return;
        if (to.phase == record::Phase::Free || !is_subscribed(to, state.channel)) return;
        for (const ipc::Past& past : state.publications) {
          deliverer_.deliver({.channel = state.channel, .epoch = state.epoch, .offset = past.offset,
                              .kind = past.payload_kind, .payload = past.payload, .origin = past.origin},
                             {&id.slot, 1});
          if (to.generation != id.generation || to.phase == record::Phase::Free) return;
        }
        metrics_.add(metrics::Metric::HubDeliveries, state.publications.size());
        bus_.send_ask({.channel = state.channel, .wants = ipc::kStateForget, .after = state.publications.back().offset});
      });
}

// --- Questions.

void Hub::ask(const ipc::Ask& question, OnState done) {
  ipc::Ask message = question;
  message.wants = wants_of(question.channel, question.wants);
  message.ticket = next_ticket_++;
  asked_.emplace(message.ticket, std::move(done));
  bus_.send_ask(message);
}

void Hub::ask_users(const ipc::AskUsers& question, OnUsers done) {
  ipc::AskUsers message = question;
  message.ticket = next_ticket_++;
  asked_users_.emplace(message.ticket, std::move(done));
  bus_.send_ask_users(message);
}

void Hub::on_users_state(const ipc::UsersState& message) {
  const auto asked = asked_users_.find(message.ticket);
  if (asked == asked_users_.end()) return;
  const OnUsers done = std::move(asked->second);
  asked_users_.erase(asked);
  done(message);
}

// Takes those out that a dead master has taken with it.
template <typename Asked>
static auto take_lost(Asked& asked, uint64_t recount_ticket) {
  std::vector<typename Asked::mapped_type> lost;
  std::erase_if(asked, [&](auto& entry) {
    if (entry.first >= recount_ticket) return false;
    lost.push_back(std::move(entry.second));
    return true;
  });
  return lost;
}

// Joins were begun again by tell_all_members().
void Hub::fail_lost_questions() {
  std::erase_if(joining_, [this](const auto& entry) { return entry.first < recount_ticket_; });
  for (const OnState& done : take_lost(asked_, recount_ticket_)) done({.answered = false});
  for (const OnUsers& done : take_lost(asked_users_, recount_ticket_)) done({.answered = false});
}

}  // namespace beamgate::hub
