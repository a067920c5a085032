#include "worker/proto/pusher/subscription_counts.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/config/app_channels.h"
#include "common/ipc/wire.h"
#include "common/json/value.h"
#include "worker/hub/hub.h"
#include "worker/hub/subscriber_counts.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/frames.h"
#include "worker/settings.h"

namespace beamgate::pusher {
namespace {

// What all workers together have, to be told.
struct Counts {
  std::vector<std::string_view> channels;
  std::vector<uint32_t> subscribers;  // Parallel to them.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channels), v(m.subscribers); }
};

}  // namespace

SubscriptionCounts::SubscriptionCounts(Clients& clients, AppEvents& events)
    : clients_(clients), events_(events), timer_(clients.context().loop, [this] { ask(); }) {
  clients_.context().remote.serve(hub::Method::PusherTell, [this](std::string_view body) { return answer_tell(body); });
}

bool SubscriptionCounts::is_counted(std::string_view channel) const {
  const config::Http& http = clients_.context().settings.current().http;
  const std::string_view prefix = config::app_prefix_of(http, channel);
  const bool wanted = std::any_of(http.apps.begin(), http.apps.end(), [prefix](const auto& entry) {
    return entry.second->subscription_count && entry.second->channel_prefix == prefix;
  });
  if (!wanted) return false;
  const auto name = parse_channel(channel.substr(prefix.size()));
  return name && name->kind != ChannelKind::Presence && name->kind != ChannelKind::User;
}

void SubscriptionCounts::changed(std::string_view channel) {
  if (!is_counted(channel)) return;
  auto found = channels_.find(channel);
  if (found == channels_.end()) {
    if (channels_.size() >= kChannelsMax) return;
    found = channels_.emplace(std::string(channel), Channel{}).first;
  }
  Channel& entry = found->second;
  if (entry.due_ms != 0) return;
  const int64_t now_ms = monotonic_ms();
  entry.due_ms = now_ms + kGatherMs;
  if (entry.told > kManySubscribers) entry.due_ms = std::max(entry.due_ms, entry.told_ms + kManyMs);
  wake_at(entry.due_ms);
}

void SubscriptionCounts::wake_at(int64_t at_ms) {
  if (wakes_at_ms_ != 0 && wakes_at_ms_ <= at_ms) return;
  wakes_at_ms_ = at_ms;
  timer_.start(std::max<int64_t>(at_ms - monotonic_ms(), 0));
}

// The next ones behind those of the last time.
void SubscriptionCounts::look(int64_t now_ms, std::vector<std::string>& due) {
  if (now_ms - looked_ms_ < kLookMs) return;
  looked_ms_ = now_ms;
  auto next = channels_.upper_bound(looked_at_);
  if (next == channels_.end()) next = channels_.begin();
  for (size_t i = 0; i < kChannelsPerLook && next != channels_.end(); ++i, ++next) {
    looked_at_ = next->first;
    const Channel& channel = next->second;
    const bool rests = channel.told > kManySubscribers && now_ms - channel.told_ms < kManyMs;
    if (channel.due_ms == 0 && channel.told > 0 && !rests) due.push_back(next->first);
  }
}

void SubscriptionCounts::ask() {
  const int64_t now_ms = monotonic_ms();
  std::vector<std::string> due;
  int64_t next_ms = 0;
  wakes_at_ms_ = 0;
  for (auto& [name, channel] : channels_) {
    if (channel.due_ms == 0) continue;
    if (channel.due_ms > now_ms || due.size() >= kChannelsPerQuestion) {
      next_ms = next_ms == 0 ? channel.due_ms : std::min(next_ms, channel.due_ms);
      continue;
    }
    channel.due_ms = 0;
    due.push_back(name);
  }
  look(now_ms, due);
  if (!due.empty()) {
    const bool asked = hub::ask_subscriber_counts(
        clients_.context().remote, {due.begin(), due.end()},
        [this, due](const std::vector<uint64_t>& totals) { on_counts(due, totals); });
    for (const std::string& name : due) {
      if (!asked) channels_[name].due_ms = next_ms = now_ms + kGatherMs * 20;  // The bus is full.
    }
  }
  if (next_ms != 0) wake_at(next_ms);
  if (!channels_.empty()) wake_at(looked_ms_ + kLookMs);
}

void SubscriptionCounts::on_counts(const std::vector<std::string>& channels, const std::vector<uint64_t>& totals) {
  Counts news;
  for (size_t i = 0; i < totals.size(); ++i) {
    const auto known = channels_.find(channels[i]);
    if (known != channels_.end() && known->second.told == totals[i] && totals[i] != 0) continue;
    events_.subscription_count(channels[i], totals[i]);
    news.channels.emplace_back(channels[i]);
    news.subscribers.push_back(static_cast<uint32_t>(totals[i]));
  }
  if (news.channels.empty()) return;
  // Where the bus is full, the next change brings the number.
  static_cast<void>(clients_.context().remote.ask_all(hub::Method::PusherTell, ipc::encode(news),
                                                      [](std::vector<hub::Answer>&&) {}));
}

std::string SubscriptionCounts::answer_tell(std::string_view body) {
  Counts news;
  if (!ipc::decode(body, news) || news.channels.size() != news.subscribers.size()) return {};
  for (size_t i = 0; i < news.channels.size(); ++i) tell(news.channels[i], news.subscribers[i]);
  return {};
}

void SubscriptionCounts::tell(std::string_view channel, uint64_t count) {
  hub::Hub& hub = clients_.context().hub;
  const auto found = channels_.find(channel);
  if (hub.local_subscribers(channel) == 0) {
    if (found != channels_.end() && found->second.due_ms == 0) channels_.erase(found);
    return;
  }
  Channel* entry = found == channels_.end() ? nullptr : &found->second;
  if (entry == nullptr && channels_.size() < kChannelsMax) entry = &channels_[std::string(channel)];
  if (entry != nullptr) {
    entry->told = count;
    entry->told_ms = monotonic_ms();
  }
  json::Value data;
  data.set("subscription_count", count);
  const std::string frame =
      event_frame("pusher_internal:subscription_count", clients_.name_of(channel), data.dump());
  hub.for_each_subscriber(channel, [&](record::Record& record) {
    if (record.protocol == record::Protocol::Pusher) clients_.send(record, frame);
  });
}

}  // namespace beamgate::pusher
