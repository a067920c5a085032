#include "common/config/directive.h"

#include <algorithm>
#include <vector>

#include "common/config/schema.h"

namespace beamgate::config {
namespace {

struct ScopeName {
  Scopes scope;
  std::string_view name;
};

constexpr ScopeName kScopeNames[] = {
    {kMain, "main"},         {kEvents, "events"},     {kHttp, "http"},       {kServer, "server"},
    {kLocation, "location"}, {kUpstream, "upstream"}, {kWebhook, "webhook"},
    {kChannels, "channels"}, {kToken, "token"},       {kApp, "app"},
    {kLine, "line"},             {kServerIf, "if in server"}, {kLocationIf, "if in location"},
};

// Damerau's distance, of optimal string alignment, with three rows of the table at a time: two letters that have changed
// places are one slip.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string scope_names(Scopes scopes) {
  if (scopes == kAnywhere) return "any block";
  std::vector<std::string_view> names;
  for (const ScopeName& entry : kScopeNames) {
    if ((scopes & entry.scope) != 0) names.push_back(entry.name);
  }
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i != 0) out += i + 1 == names.size() ? " or " : ", ";
    out += names[i];
  }
  return out;
}

std::span<const Area> areas() {
  static const Area kAreas[] = {
      {"MAIN", "Processes, logs and limits of the whole; outside of any block.", main_directives()},
      {"EVENTS", "Connection limits of a worker.", events_directives()},
      {"HTTP", "What all servers share.", http_directives()},
      {"SERVERS", "Addresses and names.", server_directives()},
      {"TLS",
       "How clients are served on addresses with \"listen ... ssl\".  The defaults are those of Mozilla's intermediate "
       "profile.  Files are read by the master; workers, which need no right to them, are handed what is in them.",
       ssl_directives()},
      {"HTTP/2", "Clients that speak it, with TLS or without.", http2_directives()},
      {"LOCATIONS",
       "What answers which request.  A location has one action: proxy_pass, fastcgi_pass, websocket, sse, longpoll, "
       "api, grip_publish, pusher_api, status, stub_status, metrics, log_level_switch, live_page or dashboard; without one it "
       "serves the files of its root or alias.",
       location_directives()},
      {"REWRITING",
       "What changes a request before it is answered.  set, rewrite, return, break and if run in the order written: those of "
       "a server before its locations are searched, those of a location when it was found.  A path that has become "
       "another one is searched again, ten times at most.",
       rewrite_directives()},
      {"VARIABLES", "Variables that the configuration makes, besides those of set and of regular expressions' groups.",
       map_directives()},
      {"LIMITS", "How much one client may have of what all share.", limits_directives()},
      {"COMPRESSION", "Responses in gzip, of whatever kind.", gzip_directives()},
      {"PROXYING", "Passing requests on to HTTP applications.", proxy_directives()},
      {"PROXYING OVER TLS", "What proxy_pass https://... goes by.", proxy_ssl_directives()},
      {"FASTCGI",
       "Passing requests on to scripts, such as PHP's.  The timeouts, bounds and retries are those of PROXYING, for "
       "servers that speak FastCGI.",
       fastcgi_directives()},
      {"UPSTREAMS", "Groups of application servers.", upstream_directives()},
      {"WEBSOCKET", "Connections that BeamGate terminates.", websocket_directives()},
      {"EVENT STREAMS AND LONG-POLLING", "Channels for clients that speak no more than HTTP.", streams_directives()},
      {"LINES", "Channels for clients that speak no more than TCP.", line_directives()},
      {"WEBHOOKS", "HTTP applications that are called for a connection's events.", webhook_directives()},
      {"CHANNELS", "What holds for channels by their names.", channels_directives()},
      {"TOKENS", "Signed tokens by which clients say who they are.", token_directives()},
      {"PUSHER",
       "Clients and servers of the Pusher protocol, version 7, unchanged: pusher-js, Laravel Echo, Pusher's server libraries.",
       pusher_directives()},
      {"API", "The interface by which applications publish and steer connections.", api_directives()},
  };
  return kAreas;
}

const Directive* find_directive(std::string_view name, Scopes scope) {
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.name == name && (row.scopes & scope) != 0) return &row;
    }
  }
  return nullptr;
}

Scopes scopes_of(std::string_view name) {
  Scopes scopes = 0;
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.name == name) scopes |= row.scopes;
    }
  }
  return scopes;
}

bool is_secret(std::string_view name) {
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.name == name && row.secret) return true;
    }
  }
  return false;
}

std::string_view suggestion(std::string_view name, Scopes scope) {
  if (name.size() > 64) return {};
  // Two slips, in a short name one; in doubt the name that may stand here.
  const size_t slips = name.size() < 3 ? 0 : name.size() < 6 ? 1 : 2;
  size_t best = 2 * slips + 1;
  std::string_view found;
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      const size_t cost = 2 * edit_distance(name, row.name) + ((row.scopes & scope) != 0 ? 0 : 1);
      if (cost > best || (cost == best && !found.empty())) continue;
      best = cost;
      found = row.name;
    }
  }
  return found;
}

}  // namespace beamgate::config
