#include <algorithm>

#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kZoneBytesMin = 8 << 10;
constexpr uint64_t kZoneBytesMax = 1 << 30;
constexpr uint64_t kRatePerSecondMax = 1'000'000;
constexpr uint64_t kBurstMax = 60'000;
constexpr uint64_t kConnectionsMax = 16'000'000;
constexpr size_t kConnectionLimitsMax = 8;  // What a connection can be counted for (worker/record/extras.h).

// "zone=name:size" of argument i.
bool read_zone(Setting& setting, size_t i, LimitZone& zone) {
  const std::string& text = setting.arg(i);
  const size_t colon = text.rfind(':');
  const bool whole = text.starts_with("zone=") && colon != std::string::npos && colon > 5;
  const auto bytes = whole ? parse_size(std::string_view(text).substr(colon + 1)) : std::nullopt;
  if (!bytes.has_value() || *bytes < kZoneBytesMin || *bytes > kZoneBytesMax) {
    setting.fail(i, "expected zone=name:size with a size from 8k to 1g");
    return false;
  }
  zone.name = text.substr(5, colon - 5);
  zone.bytes = *bytes;
  return true;
}

// "rate=number r/s" or "r/m", without the space.
bool read_rate(Setting& setting, size_t i, LimitZone& zone) {
  std::string_view text = setting.arg(i);
  const bool by_minute = text.ends_with("r/m");
  if (text.starts_with("rate=") && (by_minute || text.ends_with("r/s"))) {
    const auto number = parse_number(text.substr(5, text.size() - 8));
    if (number.has_value() && *number >= 1 && *number <= kRatePerSecondMax) {
      zone.rate_milli = static_cast<uint32_t>(by_minute ? std::max<uint64_t>(*number * 1'000 / 60, 1) : *number * 1'000);
      return true;
    }
  }
  setting.fail(i, "expected rate=number and r/s or r/m, from 1 to " + std::to_string(kRatePerSecondMax));
  return false;
}

void define_zone(Setting& setting) {
  auto zone = std::make_shared<LimitZone>();
  if (!setting.parse_template(0, zone->key) || !read_zone(setting, 1, *zone)) return;
  if (setting.row.name == "limit_req_zone" && !read_rate(setting, 2, *zone)) return;
  const std::string name = zone->name;
  if (!setting.loader.config->http.limit_zones.emplace(name, std::move(zone)).second) {
    setting.fail(1, "a zone of this name exists already");
  }
}

// The zone of that name and kind; null, with an error, when there is none.
std::shared_ptr<const LimitZone> find_zone(Setting& setting, size_t i, const std::string& name, bool of_requests) {
  const auto& zones = setting.loader.config->http.limit_zones;
  const auto found = zones.find(name);
  if (found != zones.end() && (found->second->rate_milli > 0) == of_requests) return found->second;
  setting.fail(i, std::string("expected a zone of ") + (of_requests ? "limit_req_zone" : "limit_conn_zone"));
  return nullptr;
}

bool read_count(Setting& setting, size_t i, std::string_view text, uint64_t max, uint64_t& out) {
  const auto number = parse_number(text);
  if (number.has_value() && *number <= max) {
    out = *number;
    return true;
  }
  setting.fail(i, "expected a number from 0 to " + std::to_string(max));
  return false;
}

void add_request_limit(Setting& setting) {
  std::vector<RequestLimit>& limits = setting.frame.location->limits.requests;
  if (setting.first(setting.row.name)) limits.clear();
  RequestLimit limit;
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string_view text = setting.arg(i);
    uint64_t number = 0;
    if (text.starts_with("zone=")) {
      limit.zone = find_zone(setting, i, std::string(text.substr(5)), true);
      if (limit.zone == nullptr) return;
    } else if (text.starts_with("burst=")) {
      if (!read_count(setting, i, text.substr(6), kBurstMax, number)) return;
      limit.burst_milli = static_cast<uint32_t>(number * 1'000);
    } else if (text.starts_with("delay=")) {
      if (!read_count(setting, i, text.substr(6), kBurstMax, number)) return;
      limit.delay_milli = static_cast<uint32_t>(number * 1'000);
    } else if (text == "nodelay") {
      limit.delay_milli = RequestLimit::kNoDelay;
    } else {
      return setting.fail(i, "expected zone=name, burst=number, delay=number or nodelay");
    }
  }
  if (limit.zone == nullptr) return setting.error("\"limit_req\" needs zone=name");
  const auto same = [&](const RequestLimit& other) { return other.zone == limit.zone; };
  if (std::any_of(limits.begin(), limits.end(), same)) return setting.error("a duplicate limit of this zone");
  limits.push_back(std::move(limit));
}

void add_connection_limit(Setting& setting) {
  std::vector<ConnectionLimit>& limits = setting.frame.location->limits.connections;
  if (setting.first(setting.row.name)) limits.clear();
  ConnectionLimit limit;
  limit.zone = find_zone(setting, 0, setting.arg(0), false);
  uint64_t number = 0;
  if (limit.zone == nullptr || !read_count(setting, 1, setting.arg(1), kConnectionsMax, number)) return;
  if (number == 0) return setting.fail(1, "expected a number from 1 to " + std::to_string(kConnectionsMax));
  limit.connections = static_cast<uint32_t>(number);
  const auto same = [&](const ConnectionLimit& other) { return other.zone == limit.zone; };
  if (std::any_of(limits.begin(), limits.end(), same)) return setting.error("a duplicate limit of this zone");
  if (limits.size() == kConnectionLimitsMax) return setting.error("more than 8 limits in one place");
  limits.push_back(std::move(limit));
}

template <auto Member>
void store_log_level(Setting& setting) {
  const std::string& name = setting.arg();
  log::Level level;
  const bool known = name == "info" || name == "notice" || name == "warn" || name == "error";
  if (!known || !log::parse_level(name, level)) {
    return setting.fail(0, "expected \"info\", \"notice\", \"warn\" or \"error\"");
  }
  setting.frame.location->limits.*Member = level;
}

constexpr auto kLimits = &Location::limits;

constexpr Directive kRows[] = {
    {.name = "limit_req_zone",
     .scopes = kHttp,
     .arity = exactly(3),
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_zone,
     .syntax = "key zone=name:size rate=number(r/s | r/m)",
     .applies = Applies::Now,
     .help = "Names a rate for requests with the same key, counted over all workers; a request whose key is empty is not "
             "counted.  64 bytes of the size are one key; when all are taken, the key that came longest ago is "
             "forgotten.  The rates of all zones share room for a million keys."},
    {.name = "limit_req",
     .scopes = kHttpServerLocation,
     .arity = between(1, 3),
     .repeatable = true,
     .set = add_request_limit,
     .syntax = "zone=name [burst=number] [nodelay | delay=number]",
     .applies = Applies::Now,
     .help = "Holds requests back so that they come at the zone's rate.  Up to burst of them wait, without nodelay; those "
             "within the first delay of them don't.  Beyond, they are answered with limit_req_status.  Several of them "
             "hold together.  Inherited only by blocks without a limit_req of their own."},
    {.name = "limit_req_status",
     .scopes = kHttpServerLocation,
     .set = store_number<kLimits, &Limits::request_status>,
     .syntax = "status",
     .fallback = "503",
     .min = "400",
     .max = "599",
     .applies = Applies::Now,
     .help = "What refused requests are answered with."},
    {.name = "limit_req_log_level",
     .scopes = kHttpServerLocation,
     .set = store_log_level<&Limits::request_log_level>,
     .syntax = "info | notice | warn | error",
     .fallback = "error",
     .applies = Applies::Now,
     .help = "How refused requests are logged; delayed ones one level below."},
    {.name = "limit_req_dry_run",
     .scopes = kHttpServerLocation,
     .set = store_flag<kLimits, &Limits::request_dry_run>,
     .syntax = "on | off",
     .fallback = "off",
     .applies = Applies::Now,
     .help = "Counts and logs, and holds nothing back."},
    {.name = "limit_conn_zone",
     .scopes = kHttp,
     .arity = exactly(2),
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_zone,
     .syntax = "key zone=name:size",
     .applies = Applies::Now,
     .help = "Names a count of connections with the same key, over all workers; an empty key is not counted.  The zones "
             "share room for 65536 keys whatever their sizes say; a key that finds none is not counted."},
    {.name = "limit_conn",
     .scopes = kHttpServerLocation,
     .arity = exactly(2),
     .repeatable = true,
     .set = add_connection_limit,
     .syntax = "zone number",
     .applies = Applies::Now,
     .help = "Most connections with one key at a time; others are answered with limit_conn_status.  A connection counts "
             "from a request's head to the end of its response, a WebSocket until it ends.  Inherited only by blocks "
             "without a limit_conn of their own."},
    {.name = "limit_conn_status",
     .scopes = kHttpServerLocation,
     .set = store_number<kLimits, &Limits::connection_status>,
     .syntax = "status",
     .fallback = "503",
     .min = "400",
     .max = "599",
     .applies = Applies::Now,
     .help = "What refused requests are answered with."},
    {.name = "limit_conn_log_level",
     .scopes = kHttpServerLocation,
     .set = store_log_level<&Limits::connection_log_level>,
     .syntax = "info | notice | warn | error",
     .fallback = "error",
     .applies = Applies::Now,
     .help = "How refused requests are logged."},
    {.name = "limit_conn_dry_run",
     .scopes = kHttpServerLocation,
     .set = store_flag<kLimits, &Limits::connection_dry_run>,
     .syntax = "on | off",
     .fallback = "off",
     .applies = Applies::Now,
     .help = "Logs what would be refused, and refuses nothing."},
    {.name = "limit_rate",
     .scopes = kHttpServerLocation | kLocationIf,
     .set = store_bytes<kLimits, &Limits::rate_bytes>,
     .syntax = "size",
     .fallback = "0",
     .min = "0",
     .max = "1048576g",
     .applies = Applies::Now,
     .help = "Bytes a second of one response's body; 0 sets no limit.  WebSockets have none."},
    {.name = "limit_rate_after",
     .scopes = kHttpServerLocation | kLocationIf,
     .set = store_bytes<kLimits, &Limits::rate_after_bytes>,
     .syntax = "size",
     .fallback = "0",
     .min = "0",
     .max = "1048576g",
     .applies = Applies::Now,
     .help = "Bytes of a response's body before limit_rate begins to hold."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> limits_directives() {
  return kRows;
}

}  // namespace beamgate::config
