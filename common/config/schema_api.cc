#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr size_t kKeyBytesSafe = 16;  // A shorter one can be guessed.
constexpr size_t kKeysMax = 16;

void set_api_key(Setting& setting) {
  std::vector<std::string>& keys = setting.frame.location->api.keys;
  if (setting.first(setting.row.name)) keys.clear();
  if (setting.arg().empty()) return setting.fail(0, "a key");
  if (setting.arg().size() < kKeyBytesSafe) {
    setting.warn_at(setting.at(), "this \"api_key\" is shorter than " + std::to_string(kKeyBytesSafe) +
                                      " bytes and can be guessed");
  }
  if (keys.size() >= kKeysMax) return setting.fail(0, "more than " + std::to_string(kKeysMax) + " keys");
  keys.push_back(setting.arg());
}

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
         "A key that opens the API, sent as X-API-Key; 16 bytes or more.  Several may stand, for rotation.  "
         "Without any, whoever may reach the location may use it."},
    {.name = "status",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Status>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with counters of this node, as JSON."},
    {.name = "metrics",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::Metrics>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with the node's metrics in Prometheus' text format."},
    {.name = "live_page",
     .scopes = kLocation,
     .arity = between(0, 1),
     .set = choose_when_on<Action::LivePage>,
     .syntax = "on | off",
     .fallback_help = "off",
     .help = "Answers with the built-in page: a chat room and live counters."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> api_directives() {
  return kRows;
}

}  // namespace beamgate::config
