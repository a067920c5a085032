#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr size_t kKeysMax = 16;

void add_key(Setting& setting, std::vector<Secret>& keys) {
  if (setting.first(setting.row.name)) keys.clear();
  if (!setting.is_secret(setting.arg())) return;
  if (keys.size() >= kKeysMax) return setting.fail(0, "more than " + std::to_string(kKeysMax) + " keys");
  keys.push_back(setting.arg());
}

void set_api_key(Setting& setting) { add_key(setting, setting.frame.location->api.keys); }

void set_dashboard_token(Setting& setting) { add_key(setting, setting.frame.location->dashboard.tokens); }

// "status;" and "status on;" choose the action, "status off;" says nothing.
template <Action kAction>
void choose_when_on(Setting& setting) {
  bool on = true;
  if (setting.count() == 1 && !read_flag(setting, on)) return;
  if (on) setting.choose(kAction);
}

constexpr Directive kRows[] = {
    {.name = "api",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Api>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help =
         "Answers the HTTP API below this location.  Guard it with api_key, with allow and deny, or both."},
    {.name = "api_key",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = set_api_key,
     .syntax = "key",
     .secret = true,
     .help =
         "A key that opens the API, sent as X-API-Key; one shorter than 16 bytes can be guessed, and is warned of.  "
         "Several may stand, for rotation.  "
         "Without any, whoever may reach the location may use it."},
    {.name = "grip_publish",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::GripPublish>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Takes publications of GRIP libraries, as Pushpin's /publish.  Guard it as api: with api_key, which its "
             "clients send as a bearer token, with allow and deny, or both."},
    {.name = "status",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Status>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with counters of this node, as JSON."},
    {.name = "stub_status",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::StubStatus>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with nginx's page of the same name, for tools that read it: connections, requests, and how many "
             "connections read, write and wait.  WebSockets are counted as writing, as nginx counts those it passes on."},
    {.name = "log_level_switch",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::LogLevel>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "GET tells the level of the error log, POST with ?level= changes it until the next reload.  The control directive "
             "sets such a location up."},
    {.name = "metrics",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Metrics>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with the metrics of all workers in Prometheus' text format, or as OpenMetrics to those who accept that."},
    {.name = "live_page",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::LivePage>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with the built-in page: a chat room and live counters."},
    {.name = "dashboard",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Dashboard>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with the built-in dashboard, for whoever runs the node: its figures, workers, channels, connections "
             "(which it can close), reloads, upgrades and latest errors.  Without a dashboard_token only clients on this "
             "machine are answered, and none that a proxy speaks for.  See beamgate(8)."},
    {.name = "dashboard_token",
     .scopes = kHttpServerLocation,
     .repeatable = true,
     .set = set_dashboard_token,
     .syntax = "token",
     .secret = true,
     .help = "What opens the dashboard: its login form asks for it; one shorter than 16 bytes can be guessed, and is warned of.  "
             "Several may stand, for rotation; one "
             "that is gone after a reload ends the sessions that it has opened.  To keep it in a file of its own, include "
             "that."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> api_directives() {
  return kRows;
}

}  // namespace beamgate::config
