// The bus and what channels are beside their order: who is present, and what was published before.
#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/config/app_channels.h"
#include "common/config/channel_rules.h"
#include "master/bus/bus.h"

namespace beamgate::master {
namespace {

constexpr size_t kChangesPerMessage = 256;

bool valid_member(const ipc::Member& member) {
  return member.uid != 0 && member.user.size() <= ipc::kUserBytesMax && !member.user.empty() &&
         member.info.size() <= ipc::kMemberInfoBytesMax;
}

size_t bytes_of(const ipc::ChannelState& state) {
  size_t bytes = 0;
  for (const ipc::Past& past : state.publications) {
    bytes += past.payload.size() + past.origin.user.size() + past.origin.event.size() + ipc::Past::kBytesMin;
  }
  for (const ipc::Member& member : state.members) {
    bytes += member.user.size() + member.info.size() + ipc::Member::kBytesMin;
  }
  return bytes;
}

}  // namespace

void Bus::follow(std::shared_ptr<const config::Config> config) {
  config_ = std::move(config);
  ++config_generation_;
  queue_bytes_ = config_->bus_queue_bytes;
  channels_.set_history_bytes_max(config_->history_bytes_max);
  note_patterns();
}

const config::ChannelRules& Bus::rules_of(std::string_view name, HubChannel& channel) {
  static const config::Http kNothing;
  if (channel.rules == nullptr || channel.rules_generation != config_generation_) {
    channel.rules = &config::rules_of(config_ ? config_->http : kNothing, name);
    channel.rules_generation = config_generation_;
  }
  return *channel.rules;
}

Bus::Retention Bus::retention_of(std::string_view name, HubChannel& channel) {
  const config::ChannelRules& rules = rules_of(name, channel);
  if (rules.history > 0) return {rules.history, rules.history_ttl_ms};
  const bool cached = rules.cache || (config_ && config::is_cache_channel(config::name_in_app(config_->http, name)));
  if (cached) return {1, config::kCacheChannelTtlMs};
  return {};
}

void Bus::keep(std::string_view name, HubChannel& channel, const ipc::Publish& publish) {
  if ((publish.flags & ipc::kPublishNoHistory) != 0) return;
  // What is sent to a user that is there has arrived; what is kept waits for its next connection.
  if (name.starts_with(config::kUserChannelPrefix) && presence_.connections(name) > 0) return;
  const auto [count, ttl_ms] = retention_of(name, channel);
  if (count == 0) {
    if (channel.history) channel.history->clear();
    return;
  }
  channels_.keep(channel,
                 {.offset = channel.offset, .time_ms = wall_ms(), .kind = publish.payload_kind,
                  .sender = publish.origin.sender, .user = std::string(publish.origin.user),
                  .event = std::string(publish.origin.event), .payload = std::string(publish.payload)},
                 count, ttl_ms);
}

// --- Patterns.

bool Bus::is_wanted_pattern(std::string_view name) {
  HubChannel* channel = channels_.find(name);
  return channel != nullptr && !channel->interested.empty() && rules_of(name, *channel).wildcards;
}

void Bus::note_pattern(std::string_view name) {
  if (has_wildcard(name) && is_wanted_pattern(name)) patterns_.add(name);
}

// The rules may have become others.
void Bus::note_patterns() {
  std::vector<std::string> names;
  channels_.for_each([&names](const std::string& name, const HubChannel&, int64_t) {
    if (has_wildcard(name)) names.push_back(name);
  });
  patterns_ = {};
  for (const std::string& name : names) note_pattern(name);
}

void Bus::add_pattern_interest(std::string_view name, SlotSet& slots) {
  for (const std::string& pattern : patterns_.matching(name)) {
    const HubChannel* channel = channels_.find(pattern);
    if (channel != nullptr) channel->interested.for_each([&slots](uint16_t slot) { slots.add(slot); });
  }
}

// --- Conflation.

void Bus::conflate(Port& port, HubChannel& channel, const ipc::Publish& publish, int64_t conflate_ms) {
  const int64_t now_ms = monotonic_ms();
  if (!channel.conflated) channel.conflated = std::make_unique<Conflated>();
  Conflated& conflated = *channel.conflated;
  if (!conflated.waits && now_ms >= conflated.next_ms) {
    conflated.next_ms = now_ms + conflate_ms;
    return relay(&port, channel, publish);
  }
  refuse_receipt(port, publish);
  conflated.except = publish.except;
  conflated.meta = publish.origin.meta;
  conflated.newest = {.offset = channel.offset, .time_ms = 0, .kind = publish.payload_kind,
                      .sender = publish.origin.sender, .user = std::string(publish.origin.user),
                      .event = std::string(publish.origin.event), .payload = std::string(publish.payload)};
  if (std::exchange(conflated.waits, true)) return observer_.on_conflated();
  const std::string whose(publish.channel);
  conflating_[whose] = loop_.after(std::max<int64_t>(conflated.next_ms - now_ms, 1), [this, whose] {
    conflating_.erase(whose);
    deliver_conflated(whose);
  });
}

void Bus::deliver_conflated(std::string_view name) {
  HubChannel* channel = channels_.find(name);
  if (channel == nullptr || !channel->conflated || !channel->conflated->waits) return;
  Conflated& conflated = *channel->conflated;
  conflated.waits = false;
  conflated.next_ms = monotonic_ms() + rules_of(name, *channel).conflate_ms;
  const KeptPublication& newest = conflated.newest;
  relay(nullptr, *channel,
        {.except = conflated.except, .payload_kind = newest.kind, .channel = name, .payload = newest.payload,
         .origin = {newest.sender, newest.user, newest.event, conflated.meta}});
}

void Bus::deliver_all_conflated() {
  for (const auto& [name, timer] : std::exchange(conflating_, {})) {
    loop_.cancel(timer);
    deliver_conflated(name);
  }
}

// --- Members.

PresenceTable::Rules Bus::presence_rules_of(std::string_view name) {
  HubChannel* channel = channels_.find(name);
  static const config::ChannelRules kDefaults;
  const config::ChannelRules& rules = channel == nullptr ? kDefaults : rules_of(name, *channel);
  return {.limit = rules.presence_limit, .leave_delay_ms = rules.leave_delay_ms, .told = rules.join_leave};
}

bool Bus::on_join(Port& port, const ipc::Join& join) {
  if (!valid_name(join.channel) || (join.is_member && !valid_member(join.member))) return false;
  // Or the subscriber would get the newest publication twice.
  if ((join.wants & (ipc::kStateRecover | ipc::kStateNewest)) != 0) deliver_conflated(join.channel);
  const auto answer = [&] {
    if (join.ticket == 0) return;
    answer_state(port, {join.ticket, join.channel, join.wants, join.epoch, join.after, join.publications_max, join.members_max});
  };
  if (join.is_member && !presence_.enter(join.channel, join.member, port.slot(), presence_rules_of(join.channel),
                                         join.quiet, monotonic_ms())) {
    log_.warn("presence_full", {{"channel", join.channel}});
  }
  answer();
  return true;
}

bool Bus::on_leave(Port& port, const ipc::Leave& leave) {
  if (!valid_name(leave.channel)) return false;
  presence_.leave(leave.channel, leave.uid, port.slot(), monotonic_ms());
  expire_presence();
  return true;
}

bool Bus::on_joined_all(Port& port) {
  presence_.drop_unconfirmed(port.slot(), monotonic_ms());
  return true;
}

void Bus::expire_presence() {
  const int64_t now_ms = monotonic_ms();
  const int64_t next_ms = presence_.expire(now_ms);
  if (presence_timer_) loop_.cancel(*presence_timer_);
  presence_timer_.reset();
  if (next_ms != 0) presence_timer_ = loop_.after(std::max<int64_t>(next_ms - now_ms, 1), [this] { expire_presence(); });
}

// In order with the publications of the channel, and lost as they are where a worker doesn't keep up.
void Bus::tell_presence(const PresenceTable::Changes& changes) {
  HubChannel* channel = channels_.find(changes.channel);
  if (channel == nullptr || channel->interested.empty()) return;
  // A list goes in one piece, also where nobody is in it.
  const size_t most = changes.whole ? std::max<size_t>(changes.changes.size(), 1) : kChangesPerMessage;
  for (size_t at = 0; at == 0 || at < changes.changes.size(); at += most) {
    ipc::PresenceChange message{.number = ++channel->presence, .channel = changes.channel, .users = changes.users,
                                .connections = changes.connections, .listed = changes.listed, .whole = changes.whole,
                                .changes = {}};
    const auto begin = changes.changes.begin() + static_cast<std::ptrdiff_t>(at);
    const size_t count = std::min(most, changes.changes.size() - at);
    message.changes.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    channel->interested.for_each([&](uint16_t slot) {
      Port& port = *ports_[slot];
      if (port.has_room(queue_bytes_)) {
        port.tell_gap_of(changes.channel);
        port.send(message);
      } else {
        port.miss(changes.channel, {channel->offset, channel->presence});
      }
      mark(port);
    });
  }
}

// After a master's death: what it had not told of those who came and went, nobody can tell any more but like this.
void Bus::tell_lists() {
  tell_all_presence();
  std::vector<std::string> names;
  channels_.for_each([&](const std::string& name, const HubChannel& channel, int64_t) {
    if (!channel.interested.empty() && !name.starts_with(config::kUserChannelPrefix)) names.push_back(name);
  });
  for (const std::string& name : names) {
    const config::ChannelRules& rules = rules_of(name, *channels_.find(name));
    if (rules.join_leave && (rules.presence || is_presence_channel(name))) tell_presence(presence_.whole(name));
  }
}

// Also what is told once in a while only.
void Bus::tell_all_presence() {
  presence_.take_changes(monotonic_ms() + PresenceTable::kCountMs, [this](const auto& changes) { tell_presence(changes); });
}

// Of the Pusher protocol, where the name says so.
bool Bus::is_presence_channel(std::string_view name) const {
  return config_ && config::name_in_app(config_->http, name).starts_with(config::kPresencePrefix);
}

void Bus::on_user_change(const PresenceTable::UserChange& change) {
  journal_.add({.joined = change.joined, .joined_ms = change.joined_ms, .left_ms = change.left_ms,
                .channel = change.channel, .user = change.user, .info = change.info});
}

// Somebody wants to know whether this user is online: worker/proto/pusher/watchlist.h.
bool Bus::is_watched(const ipc::UserChange& change) const {
  if (!change.channel.starts_with(config::kUserChannelPrefix)) return false;
  const HubChannel* watch =
      channels_.find(std::string(config::kUserChannelPrefix).append(config::kWatchPrefix).append(change.user));
  return watch != nullptr && !watch->interested.empty();
}

// Somebody wants to be told of it.
bool Bus::is_told(const ipc::UserChange& change) {
  static const config::Http kNothing;
  HubChannel* channel = channels_.find(change.channel);
  const config::ChannelRules& rules = channel != nullptr
                                          ? rules_of(change.channel, *channel)
                                          : config::rules_of(config_ ? config_->http : kNothing, change.channel);
  const bool for_apps =
      apps_want(config::kAppMemberAdded | config::kAppMemberRemoved) && is_presence_channel(change.channel);
  return rules.presence_webhook != nullptr || for_apps || is_watched(change);
}

// Those who may tell applications of something: who stays, or else who goes; and of these at last who has closed all its
// connections and waits for nothing but that.
std::vector<Port*> Bus::tellers() {
  std::array<std::vector<Port*>, 3> ranks;
  for (const auto& port : ports_) {
    if (!port || !port->serving || port->dismissed || !port->has_room(queue_bytes_)) continue;
    ranks[port->said_farewell ? 2 : port->leaving ? 1 : 0].push_back(port.get());
  }
  const auto first = std::find_if(ranks.begin(), ranks.end(), [](const auto& rank) { return !rank.empty(); });
  return first == ranks.end() ? std::vector<Port*>() : std::move(*first);
}

bool Bus::on_farewell(Port& port) {
  port.said_farewell = farewells_ = true;
  return true;
}

// Who goes while others can tell goes at once.  The last ones of a gateway that ends are told first that all have gone,
// also who could have been back within presence_leave_delay.
void Bus::answer_farewells() {
  if (!farewells_) return;
  std::vector<Port*> going;
  bool others = false;
  for (const auto& port : ports_) {
    if (!port || port->dismissed) continue;
    if (port->said_farewell) going.push_back(port.get());
    if (port->serving && !port->said_farewell) others = true;
  }
  if (!others && !going.empty()) {
    if (ending_) {
      presence_.expire(INT64_MAX);
      occupancy_.expire(INT64_MAX);
    }
    tell_users();
    tell_occupancy();
    if (told_ != journal_.sequence()) return;  // Until there is room.
  }
  farewells_ = false;
  for (Port* port : going) {
    port->dismissed = true;
    port->send(ipc::FarewellAck{});
    mark(*port);
  }
}

uint64_t Bus::untold() {
  if (ending_) presence_.expire(INT64_MAX);
  const uint64_t before = journal_.sequence() - journal_.changes().size();
  uint64_t count = told_ < before ? before - told_ : 0;
  for (size_t i = std::max(told_, before) - before; i < journal_.changes().size(); ++i) {
    if (is_told(journal_.changes()[i].view())) ++count;
  }
  return count;
}

// Each change to one worker, in turn; without any they wait in the journal.
void Bus::tell_users() {
  if (told_ == journal_.sequence()) return;
  const std::vector<Port*> serving = tellers();
  if (serving.empty()) return;
  const uint64_t before = journal_.sequence() - journal_.changes().size();
  if (told_ < before) log_.error("presence_changes_lost", {{"changes", before - told_}});
  // One worker for all that came together, so that the application sees them in their order.
  Port& port = *serving[told_ % serving.size()];
  for (size_t i = std::max(told_, before) - before; i < journal_.changes().size(); ++i) {
    const ipc::UserChange change = journal_.changes()[i].view();
    if (!is_told(change)) continue;
    port.send(change);
    mark(port);
  }
  told_ = journal_.sequence();
}

// --- Questions.

bool Bus::on_ask_users(Port& port, const ipc::AskUsers& ask) {
  if (ask.ticket == 0) return false;
  const size_t max = std::min(ask.max, ipc::kStateListMax);
  ipc::UsersState state{.ticket = ask.ticket, .incarnation = journal_.incarnation(), .sequence = journal_.sequence()};
  if (ask.changes) {
    auto changes = journal_.since(ask.incarnation, ask.since, max);
    state.known = changes.has_value();
    if (changes) state.changes = std::move(*changes);
    state.more = !state.changes.empty() && state.changes.back().sequence < state.sequence;
  } else {
    state.present = presence_.present(ask.prefix, ask.after, max, state.more);
  }
  size_t bytes = 0;
  for (const auto& change : state.changes) bytes += change.channel.size() + change.user.size() + change.info.size() + 64;
  for (const auto& present : state.present) bytes += present.channel.size() + present.user.size() + 32;
  if (bytes > ipc::kStateBytesMax || !port.has_room(queue_bytes_)) {
    state = {.ticket = ask.ticket, .answered = false, .changes = {}, .present = {}};
  }
  port.send(state);
  mark(port);
  return true;
}

bool Bus::on_ask(Port& port, const ipc::Ask& ask) {
  if (!valid_name(ask.channel)) return false;
  if ((ask.wants & ipc::kStateForget) != 0) {
    HubChannel* channel = channels_.find(ask.channel);
    if (channel != nullptr && channel->history) channel->history->forget_until(ask.after == 0 ? UINT64_MAX : ask.after);
  }
  if (ask.ticket != 0) answer_state(port, ask);
  return true;
}

void Bus::answer_state(Port& port, const ipc::Ask& ask) {
  ipc::ChannelState state{.ticket = ask.ticket, .channel = ask.channel};
  HubChannel* channel = channels_.find(ask.channel);
  const size_t publications_max = std::min(ask.publications_max, ipc::kStateListMax);
  std::optional<std::vector<ipc::Past>> missed;
  if (channel != nullptr) {
    state.epoch = channel->epoch;
    state.offset = channel->offset;
    History none(no_history_);
    History* history = channel->history ? channel->history.get() : &none;
    history->expire(wall_ms());
    const bool reverse = (ask.wants & ipc::kStateReverse) != 0;
    // Who names no epoch means this one.
    if ((ask.wants & ipc::kStateRecover) != 0 && (ask.epoch.empty() || ask.epoch == channel->epoch)) {
      missed = history->missed(ask.after, channel->offset, publications_max == 0 ? ipc::kStateListMax : publications_max);
    }
    state.recovered = missed.has_value();
    if (missed) state.publications = std::move(*missed);
    if (!state.recovered && (ask.wants & ipc::kStateNewest) != 0) {
      state.publications = history->newest(publications_max, reverse);
    } else if ((ask.wants & ipc::kStateAfter) != 0) {
      state.publications = history->from(ask.after, publications_max, reverse);
    }
  }
  state.users = presence_.users(ask.channel);
  state.connections = presence_.connections(ask.channel);
  if ((ask.wants & ipc::kStateMembers) != 0 && presence_.listed(ask.channel)) {
    const size_t members_max = std::min(ask.members_max, ipc::kStateListMax);
    state.members = presence_.list(ask.channel, members_max + 1);
    state.listed = state.members.size() <= members_max;
    if (!state.listed) state.members.clear();
  }
  if (bytes_of(state) > ipc::kStateBytesMax || !port.has_room(queue_bytes_)) {
    state = {.ticket = ask.ticket, .channel = ask.channel, .answered = false, .epoch = state.epoch,
             .offset = state.offset};
  }
  port.send(state);
  mark(port);
}

}  // namespace beamgate::master
