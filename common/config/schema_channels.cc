#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/channel_rules.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr size_t kPatternBytesMax = 255;
constexpr uint64_t kHistoryMax = 100'000;
constexpr uint64_t kRateMax = 1'000'000;  // Publications in a second.

// The webhook of that name; null for "off", and after an error.
std::shared_ptr<const Webhook> find_webhook(Setting& setting) {
  if (setting.arg() == "off") return nullptr;
  const auto& webhooks = setting.loader.config->http.webhooks;
  const auto found = webhooks.find(setting.arg());
  if (found != webhooks.end()) return found->second;
  setting.fail(0, "no webhook block of this name in http");
  return nullptr;
}

void set_webhook(Setting& setting) { setting.frame.channels->webhook = find_webhook(setting); }

void set_presence_webhook(Setting& setting) { setting.frame.channels->presence_webhook = find_webhook(setting); }

void set_access(Setting& setting) {
  using Access = ChannelRules::Access;
  static constexpr std::pair<std::string_view, Access> kWords[] = {
      {"open", Access::Open}, {"token", Access::Token}, {"webhook", Access::Webhook}, {"denied", Access::Denied}};
  for (const auto& [word, access] : kWords) {
    if (setting.arg() != word) continue;
    setting.frame.channels->access = access;
    if (access == Access::Token) setting.loader.words_at["subscribe token"] = setting.at(0);
    return;
  }
  setting.fail(0, "expected \"open\", \"token\", \"webhook\" or \"denied\"");
}

void set_slow_reader(Setting& setting) {
  using SlowReader = ChannelRules::SlowReader;
  if (setting.arg() == "default") {
    setting.frame.channels->slow_reader = SlowReader::Default;
  } else if (setting.arg() == "skip") {
    setting.frame.channels->slow_reader = SlowReader::Skip;
  } else {
    setting.fail(0, "expected \"default\" or \"skip\"");
  }
}

// "history 100 10m" or "history off".
void set_history(Setting& setting) {
  ChannelRules& rules = *setting.frame.channels;
  if (setting.count() == 1 && setting.arg() == "off") {
    rules.history = 0;
    rules.history_ttl_ms = 0;
    return;
  }
  const auto size = parse_number(setting.arg());
  if (!size.has_value() || *size < 1 || *size > kHistoryMax) {
    return setting.fail(0, "expected \"off\", or a number from 1 to " + std::to_string(kHistoryMax) + " and a time");
  }
  const auto ttl_ms = setting.count() == 2 ? parse_time_ms(setting.arg(1)) : std::nullopt;
  const auto max_ms = parse_time_ms("365d");
  if (!ttl_ms.has_value() || *ttl_ms < 1 || *ttl_ms > *max_ms) {
    return setting.fail(setting.count() - 1, "expected a number and a time from 1ms to 365d");
  }
  rules.history = static_cast<uint32_t>(*size);
  rules.history_ttl_ms = *ttl_ms;
}

// "rate 10r/s [burst=20]" or "rate off".
void set_rate(Setting& setting) {
  ChannelRules& rules = *setting.frame.channels;
  rules.rate_milli = rules.rate_burst = 0;
  const std::string_view text = setting.arg();
  if (text == "off" && setting.count() == 1) return;
  const bool by_minute = text.ends_with("r/m");
  const auto number = by_minute || text.ends_with("r/s") ? parse_number(text.substr(0, text.size() - 3)) : std::nullopt;
  if (!number.has_value() || *number < 1 || *number > kRateMax) {
    return setting.fail(0, "expected \"off\", or number and r/s or r/m, from 1 to " + std::to_string(kRateMax));
  }
  rules.rate_milli = static_cast<uint32_t>(by_minute ? std::max<uint64_t>(*number * 1'000 / 60, 1) : *number * 1'000);
  rules.rate_burst = std::max(rules.rate_milli / 1'000, 1u);
  if (setting.count() == 1) return;
  const std::string_view burst = setting.arg(1);
  const auto messages = burst.starts_with("burst=") ? parse_number(burst.substr(6)) : std::nullopt;
  if (!messages.has_value() || *messages < 1 || *messages > kRateMax) {
    return setting.fail(1, "expected burst=number, from 1 to " + std::to_string(kRateMax));
  }
  rules.rate_burst = static_cast<uint32_t>(*messages);
}

void run(Setting& setting, ChannelRules& rules) {
  Frame frame;
  frame.scope = kChannels;
  frame.parent = &setting.frame;
  frame.channels = &rules;
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  if (rules.access == ChannelRules::Access::Webhook && rules.webhook == nullptr) {
    setting.error("\"subscribe webhook\" needs a \"webhook\" in this block");
  }
}

void define_channels(Setting& setting) {
  auto rules = std::make_shared<ChannelRules>();
  rules->pattern = setting.arg();
  run(setting, *rules);
  if (rules->pattern.empty() || rules->pattern.size() > kPatternBytesMax) {
    return setting.fail(0, "expected a pattern of 1 to " + std::to_string(kPatternBytesMax) + " bytes");
  }
  auto& all = setting.loader.config->http.channels;
  const auto same = [&](const auto& other) { return other->pattern == rules->pattern; };
  if (std::any_of(all.begin(), all.end(), same)) return setting.fail(0, "there are channels with this pattern already");
  all.push_back(std::move(rules));
}

void define_users(Setting& setting) {
  auto rules = std::make_shared<ChannelRules>(rules_of_users());
  run(setting, *rules);
  rules->presence = true;
  setting.loader.config->http.users = std::move(rules);
}

constexpr Directive kRows[] = {
    {.name = "channels",
     .scopes = kHttp,
     .body = Body::Block,
     .phase = Phase::Enter,
     .repeatable = true,
     .set = define_channels,
     .syntax = "pattern",
     .help = "What holds for the channels whose names fit the pattern, in which * stands for any characters and ? for "
             "one.  When several fit, the one with the most other characters counts."},
    {.name = "users",
     .scopes = kHttp,
     .arity = exactly(0),
     .body = Body::Block,
     .phase = Phase::Enter,
     .set = define_users,
     .help = "The same for the channel that each user has: history keeps what is sent to a user without connections, "
             "presence_webhook tells who is online."},
    {.name = "subscribe",
     .scopes = kChannels,
     .set = set_access,
     .syntax = "open | token | webhook | denied",
     .fallback = "open",
     .help = "Who may subscribe where the protocol itself has no rule, as Pusher has for private channels: everybody, "
             "who shows a token for the channel, whom the webhook lets (beamgate.subscribe), nobody."},
    {.name = "webhook",
     .scopes = kChannels,
     .set = set_webhook,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "The webhook block whose application is asked about subscriptions (subscribe webhook), and about what clients "
             "publish (beamgate.publish)."},
    {.name = "publish",
     .scopes = kChannels,
     .set = store_flag<&ChannelRules::client_publish>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether subscribers may publish."},
    {.name = "presence",
     .scopes = kChannels,
     .set = store_flag<&ChannelRules::presence>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether subscribers are members that can be listed.  Pusher's presence- channels always have it."},
    {.name = "join_leave",
     .scopes = kChannels,
     .set = store_flag<&ChannelRules::join_leave>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether members are told who comes and goes."},
    {.name = "presence_limit",
     .scopes = kChannels,
     .set = store_number<&ChannelRules::presence_limit>,
     .syntax = "number",
     .fallback = "1000",
     .min = "1",
     .max = "100000",
     .help = "Users above which members are counted instead of listed, and are told numbers instead of names."},
    {.name = "presence_leave_delay",
     .scopes = kChannels,
     .set = store_time<&ChannelRules::leave_delay_ms>,
     .syntax = "time",
     .fallback = "0",
     .min = "0",
     .max = "1h",
     .help = "A user whose last connection goes, and who is back within this time, was never away."},
    {.name = "presence_webhook",
     .scopes = kChannels,
     .set = set_presence_webhook,
     .syntax = "name | off",
     .fallback_help = "off",
     .help = "The webhook block whose application is told when a user comes (beamgate.joined) and goes (beamgate.left)."},
    {.name = "history",
     .scopes = kChannels,
     .arity = between(1, 2),
     .set = set_history,
     .syntax = "off | number time",
     .fallback = "off",
     .help = "How many publications of a channel are kept, and for how long: what clients recover from."},
    {.name = "cache",
     .scopes = kChannels,
     .set = store_flag<&ChannelRules::cache>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether new subscribers are given the newest publication."},
    {.name = "subscribers_max",
     .scopes = kChannels,
     .set = store_number<&ChannelRules::subscribers_max>,
     .syntax = "number",
     .fallback = "0",
     .min = "0",
     .max = "10000000",
     .help = "Most subscribers of one channel; 0 is no limit.  Those whom a token or the application lets in count as well."},
    {.name = "rate",
     .scopes = kChannels,
     .arity = between(1, 2),
     .set = set_rate,
     .syntax = "off | number r/s [burst=number]",
     .fallback = "off",
     .help = "How often clients may publish into one channel, all of them together; written as 10r/s.  Without burst, one "
             "second's worth may come at once."},
    {.name = "conflate",
     .scopes = kChannels,
     .set = store_time<&ChannelRules::conflate_ms>,
     .syntax = "time",
     .fallback = "0",
     .min = "0",
     .max = "1h",
     .help = "Subscribers get at most one publication in this time, the newest; 0: all.  History keeps all of them."},
    {.name = "slow_reader",
     .scopes = kChannels,
     .set = set_slow_reader,
     .syntax = "default | skip",
     .fallback = "default",
     .help = "What happens when half of a subscriber's send queue is taken.  With skip this channel's publications are "
             "not for it until there is room again, and the other half is left to other channels; where a history keeps "
             "what it has missed, it is told as its protocol can.  By default they are queued, and what is to be done "
             "with a full queue is said by websocket_slow_reader, sse_slow_reader or line_slow_reader."},
    {.name = "wildcards",
     .scopes = kChannels,
     .set = store_flag<&ChannelRules::wildcards>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether clients may subscribe to names with a * in the place of a segment, where : . and / separate "
             "segments, and get the publications of all channels that fit and whose own rules have it on too.  Such a "
             "name has no history, whatever its rules say: who comes back to it may have missed something."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> channels_directives() {
  return kRows;
}

}  // namespace beamgate::config
