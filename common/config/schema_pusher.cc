#include <algorithm>

#include "common/config/app_channels.h"
#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr size_t kNameBytesMax = 64;

struct EventName {
  std::string_view name;
  uint32_t bit;
};

constexpr EventName kEventNames[] = {
    {"channel_occupied", kAppChannelOccupied},   {"channel_vacated", kAppChannelVacated},
    {"member_added", kAppMemberAdded},           {"member_removed", kAppMemberRemoved},
    {"client_event", kAppClientEvent},           {"cache_miss", kAppCacheMiss},
    {"subscription_count", kAppSubscriptionCount},
};

// What stands in a path, and before the colon of a client's "auth".
bool is_app_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

template <std::string App::* kField>
void set_app_name(Setting& setting) {
  if (!is_app_name(setting.arg())) return setting.fail(0, "expected up to 64 letters, digits, \"-\", \"_\" or \".\"");
  setting.frame.app->*kField = setting.arg();
}

void set_app_secret(Setting& setting) {
  if (!setting.is_secret(setting.arg())) return;
  setting.frame.app->secret = setting.arg();
}

void set_channel_prefix(Setting& setting) {
  const std::string_view text = setting.arg();
  std::string& prefix = setting.frame.app->channel_prefix;
  prefix.clear();
  if (text == "off") return;
  if (text.size() > kChannelPrefixBytesMax || !text.ends_with('/') || !is_app_name(text.substr(0, text.size() - 1))) {
    return setting.fail(0, "expected \"off\", or up to 49 letters, digits, \"-\", \"_\" or \".\" and a \"/\" behind them");
  }
  prefix = text;
}

void set_connections_max(Setting& setting) {
  const auto number = parse_number(setting.arg());
  if (!number || *number > *parse_number(setting.row.max)) return setting.fail(0, expected_range(setting.row, "a number"));
  setting.frame.app->connections_max = static_cast<uint32_t>(*number);
}

void set_app_webhook(Setting& setting) {
  const auto& webhooks = setting.loader.config->http.webhooks;
  const auto found = webhooks.find(setting.arg());
  if (setting.arg() == "off") {
    setting.frame.app->webhook = nullptr;
  } else if (found == webhooks.end()) {
    setting.fail(0, "no webhook block of this name in http");
  } else {
    setting.frame.app->webhook = found->second;
  }
}

void set_webhook_events(Setting& setting) {
  uint32_t& events = setting.frame.app->webhook_events;
  if (setting.count() == 1 && setting.arg() == "all") {
    events = kAppEventsAll;
    return;
  }
  events = 0;
  for (size_t i = 0; i < setting.count(); ++i) {
    const auto* found = std::find_if(std::begin(kEventNames), std::end(kEventNames),
                                     [&](const EventName& each) { return each.name == setting.arg(i); });
    if (found == std::end(kEventNames)) {
      setting.fail(i, "expected \"all\", or names of events such as \"channel_occupied\"");
    } else {
      events |= found->bit;
    }
  }
}

// The same endpoint with a feed of its own: what it is sent is in another form, and signed with another key.
std::shared_ptr<const Webhook> webhook_of(const App& app) {
  if (app.webhook == nullptr) return nullptr;
  auto own = std::make_shared<Webhook>(*app.webhook);
  own->name = app_webhook_name(app.name);
  own->secrets.clear();
  own->pusher_key = app.key;
  own->pusher_secret = app.secret;
  return own;
}

void define_app(Setting& setting) {
  auto app = std::make_shared<App>();
  app->name = setting.arg();
  Frame frame;
  frame.scope = kApp;
  frame.parent = &setting.frame;
  frame.app = app.get();
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  if (app->name.empty() || app->name == "all") return setting.fail(0, "expected a name");
  for (const std::string_view wanted : {"id", "key", "secret"}) {
    if (!frame.said.contains(wanted)) {
      setting.error("no \"" + std::string(wanted) + "\" in app \"" + app->name + "\"");
    }
  }
  auto& apps = setting.loader.config->http.apps;
  if (!frame.said.contains("channel_prefix") && !apps.empty()) {
    app->channel_prefix = app->name + "/";
    if (app->channel_prefix.size() > kChannelPrefixBytesMax || !is_app_name(app->name)) {
      setting.error("the name of app \"" + app->name + "\" can't begin its channels: it needs a \"channel_prefix\"");
    }
  }
  for (const auto& [name, other] : apps) {
    if (other->id == app->id && !app->id.empty()) setting.error("apps \"" + name + "\" and \"" + app->name + "\" have the same id");
    if (other->key == app->key && !app->key.empty()) setting.error("apps \"" + name + "\" and \"" + app->name + "\" have the same key");
  }
  app->webhook = webhook_of(*app);
  if (!apps.emplace(app->name, app).second) setting.error("duplicate app \"" + app->name + "\"");
}

void set_pusher_apps(Setting& setting) {
  auto& chosen = setting.frame.location->websocket.apps;
  chosen.clear();
  if (setting.count() == 1 && setting.arg() == "all") return;
  const auto& apps = setting.loader.config->http.apps;
  for (size_t i = 0; i < setting.count(); ++i) {
    const auto found = apps.find(setting.arg(i));
    if (found == apps.end()) {
      setting.fail(i, "no app block of this name in http");
    } else {
      chosen.push_back(found->second);
    }
  }
}

void set_pusher_api(Setting& setting) {
  bool on = true;
  if (setting.count() == 1 && !read_flag(setting, on)) return;
  if (on) setting.choose(Action::PusherApi);
}

constexpr Directive kRows[] = {
    {.name = "app",
     .scopes = kHttp,
     .body = Body::Block,
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_app,
     .syntax = "name",
     .help = "Defines an application of the Pusher protocol.  Its clients connect to a location with \"websocket pusher\", "
             "under a path that ends in /app/KEY; its servers call a location with pusher_api.  Each app has channels and "
             "users of its own; those of the first are the node's, which clients of other protocols see (channel_prefix)."},
    {.name = "id",
     .scopes = kApp,
     .set = set_app_name<&App::id>,
     .syntax = "text",
     .help = "What stands in the paths of the HTTP API: /apps/ID/events.  Required."},
    {.name = "key",
     .scopes = kApp,
     .set = set_app_name<&App::key>,
     .syntax = "text",
     .help = "What clients name the application by; it is no secret.  Required."},
    {.name = "secret",
     .scopes = kApp,
     .set = set_app_secret,
     .syntax = "text",
     .secret = true,
     .help = "Signs what the application vouches for, its requests, and the webhooks it gets.  16 bytes or more.  "
             "Required."},
    {.name = "channel_prefix",
     .scopes = kApp,
     .set = set_channel_prefix,
     .syntax = "off | text",
     .fallback_help = "off for the first app, and \"name/\" for every other",
     .help = "What the names of its channels and users begin with in the rest of the node: in channels blocks, for the server "
             "API, and for clients of other protocols.  Its own clients and servers don't see it.  Apps with one prefix share "
             "their channels."},
    {.name = "connections_max",
     .scopes = kApp,
     .set = set_connections_max,
     .syntax = "number",
     .fallback = "0",
     .min = "0",
     .max = "100000000",
     .help = "Its clients at a time, on the whole node; what is more is told 4100 and tries again.  0: as many as come."},
    {.name = "client_events",
     .scopes = kApp,
     .set = store_flag<&App::client_events>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether clients may send events, named client-..., to private and presence channels they are in."},
    {.name = "client_event_rate",
     .scopes = kApp,
     .set = store_number<&App::client_events_per_second>,
     .syntax = "number",
     .fallback = "10",
     .min = "1",
     .max = "1000000",
     .help = "Such events in a second from one connection; what is more is refused with error 4301."},
    {.name = "subscription_count",
     .scopes = kApp,
     .set = store_flag<&App::subscription_count>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether subscribers are told how many they are, except in presence channels."},
    {.name = "webhook",
     .scopes = kApp,
     .set = set_app_webhook,
     .syntax = "off | name",
     .fallback_help = "off",
     .help = "The webhook block that events are posted to, in Pusher's own form and signed with the app's secret.  Of the "
             "block, the url, times, batches and queues count."},
    {.name = "webhook_events",
     .scopes = kApp,
     .arity = at_least(1),
     .set = set_webhook_events,
     .syntax = "all | name ...",
     .fallback = "all",
     .help = "Which ones: channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, "
             "subscription_count."},
    {.name = "pusher_apps",
     .scopes = kServer | kLocation,
     .arity = at_least(1),
     .set = set_pusher_apps,
     .syntax = "all | name ...",
     .fallback_help = "all",
     .help = "The apps that may be connected to, and called, here."},
    {.name = "pusher_api",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = set_pusher_api,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers Pusher's HTTP API.  The location has to take the paths that begin with /apps/; a prefix before it is "
             "no hindrance."},
};
static_assert(sound(kRows));

}  // namespace

std::string app_webhook_name(std::string_view app) { return "app " + std::string(app); }

std::span<const Directive> pusher_directives() {
  return kRows;
}

}  // namespace beamgate::config
