// The configuration as the program uses it: plain data, complete, defaults in place.
//
// Owner      A Config is immutable once built and shared as std::shared_ptr<const Config>; a reload makes a
//            new one.  Connections find their location in the newest generation by its stable id.
// Units      Durations are milliseconds (..._ms), sizes bytes; 0 means "none" only where the field says so.
// Limits     The directive table (schema_*.cc) holds minimum and maximum of each field.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/config/template.h"
#include "common/log/log.h"
#include "common/tls/settings.h"

namespace beamgate::tls {
class ServerContext;  // common/tls/server_context.h
class ClientContext;  // common/tls/client_context.h
}  // namespace beamgate::tls

namespace beamgate::config {

class Regex;  // common/config/regex.h

// A socket address with its text; numeric, resolved when the configuration is read.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text;  // "127.0.0.1:8080", "[::1]:80", "unix:/run/x.sock".
};

struct Listen {
  Address address;
  uint32_t id = 0;  // Stable: hash of address.text.
  int backlog = 511;
  bool ipv6_only = true;
  bool default_server = false;
  bool tls = false;  // "ssl": for all servers of the address, whichever says it.
};

// "allow"/"deny" in order; the first match decides, none allows.
struct AccessRule {
  bool allow = true;
  bool all = false;
  int family = 0;           // AF_INET or AF_INET6 when !all; AF_UNIX for "unix:".
  unsigned char address[16] = {};
  unsigned prefix_bits = 0;
};

struct NameValue {
  std::string name;
  Template value;
  bool always = false;  // add_header: also with statuses of errors.
};

// "webhook NAME { ... }": one HTTP application that BeamGate calls.
struct Webhook {
  enum class OnError : uint8_t { Deny, Allow };

  std::string name;
  std::string url;           // http:// or https://
  std::string unix_socket;   // Path of a unix socket to connect to instead of the URL's host; may be empty.
  std::vector<std::string> secrets;  // Decoded keys; the first signs, the second is added during rotation.
  int64_t timeout_ms = 10'000;          // A whole call.
  int64_t connect_timeout_ms = 2'000;
  uint32_t concurrency = 128;           // Calls in flight, per worker.
  uint32_t queue = 10'000;              // Calls waiting for a free place, per worker.
  uint32_t connection_queue = 16;       // Messages waiting behind the one in flight, per connection.
  uint64_t reply_bytes_max = 1 << 20;
  uint32_t batch_events_max = 100;      // Events in one batch of connected/disconnected.
  int64_t batch_delay_ms = 50;
  uint32_t event_queue = 10'000;        // Events waiting to be delivered, per worker.
  int64_t retry_delay_ms = 500;         // First delay; doubles with jitter up to retry_delay_max_ms.
  int64_t retry_delay_max_ms = 60'000;
  int64_t retry_time_ms = 3'600'000;    // An event older than this is given up.
  uint32_t breaker_failures = 10;       // Consecutive failures that open the breaker; 0 never opens it.
  int64_t breaker_cooldown_ms = 5'000;
  OnError on_error = OnError::Deny;
  bool tls_verify = true;
  std::string tls_ca_file;              // Empty: the system's store.
  std::vector<std::string> forward_headers;  // Handshake fields passed on, lower case.
};

struct UpstreamServer {
  Address address;
  uint32_t weight = 1;
  bool backup = false;
  bool down = false;
};

// "upstream NAME { ... }", or made implicitly by proxy_pass http://host:port.
struct Upstream {
  std::string name;
  std::vector<UpstreamServer> servers;
  uint32_t keepalive = 64;              // Idle connections kept, per worker.
  int64_t keepalive_timeout_ms = 60'000;
  uint32_t keepalive_requests = 10'000;
};

struct ReturnAction {
  uint16_t status = 0;
  Template text;  // The body, or the URL of a redirect (301, 302, 303, 307, 308).
};

struct ProxyAction {
  std::shared_ptr<const Upstream> upstream;
  std::string host;             // The authority of proxy_pass, for the default Host header.
  bool has_uri = false;         // "proxy_pass http://b/x": the location's prefix is replaced by uri.
  std::string uri;
  std::vector<NameValue> set_headers;  // proxy_set_header; an empty value removes the field.
  int64_t connect_timeout_ms = 60'000;
  int64_t send_timeout_ms = 60'000;
  int64_t read_timeout_ms = 60'000;
  uint64_t buffer_bytes = 64 << 10;    // Most that is held in each direction of one exchange.

  tls::ClientSettings tls_settings;    // proxy_ssl_...
  bool https = false;                  // proxy_pass says https://.
  std::shared_ptr<const tls::ClientContext> tls;  // Null unless it does.
  std::string tls_host;                // The host of proxy_pass.
  bool tls_server_name = false;        // Whether the server is told the name (SNI).
  Template tls_name;                   // What the certificate is checked against; empty: proxy_pass's host.
};

struct StaticAction {
  std::string root;   // The URI is appended to root ...
  std::string alias;  // ... or what follows the location's prefix to alias.  One of both is set.
  std::vector<std::string> index = {"index.html"};
};

struct WebSocketAction {
  enum class Mode : uint8_t { Raw, Echo };
  enum class SlowReader : uint8_t { Close, DropOldest };

  Mode mode = Mode::Raw;
  std::shared_ptr<const Webhook> webhook;        // Raw: null means no application is asked.
  std::vector<Template> subscribe;               // websocket_subscribe: channels joined at the handshake.
  Template publish;                              // websocket_publish: without a webhook, frames go here.
  uint64_t message_bytes_max = 64 << 10;
  uint64_t send_queue_bytes = 1 << 20;
  SlowReader slow_reader = SlowReader::Close;
  int64_t ping_interval_ms = 30'000;             // 0: never.
  int64_t idle_timeout_ms = 75'000;              // Nothing received for so long: closed.  0: never.
  int64_t close_timeout_ms = 5'000;              // Wait for the peer's Close before the socket goes.
  std::vector<std::string> origins;              // Empty: all.  "https://*.example.com" allows subdomains.
  std::vector<std::string> subprotocols;         // In order of preference.
  bool deflate = false;
  int deflate_level = 1;
  uint64_t deflate_bytes_min = 256;              // Smaller messages go uncompressed.
  int deflate_server_window_bits = 12;           // 9 to 15; bounds memory per connection.
  int deflate_client_window_bits = 15;
  bool deflate_context_takeover = true;          // false: both no_context_takeover parameters are demanded.
};

struct ApiAction {
  std::vector<std::string> keys;  // api_key; empty: only reachable as allow/deny says.
};

enum class Action : uint8_t { None, Return, Proxy, Static, WebSocket, Api, Status, Metrics, LivePage };

enum class LocationMatch : uint8_t { Prefix, PrefixFinal /* ^~ */, Exact /* = */, Regex, RegexNoCase };

struct AccessLog {
  // How a variable's bytes are written: \xHH, as within a JSON string, or as they are.
  enum class Escape : uint8_t { Default, Json, None };

  bool off = true;
  std::string path;
  Template format;
  Escape escape = Escape::Default;
};

// What http, server and location share and inherit downwards.
struct Location {
  uint32_t id = 0;  // Stable: hash of the server's names and addresses and of the matcher as written.
  LocationMatch match = LocationMatch::Prefix;
  std::string pattern;
  std::shared_ptr<const Regex> regex;
  // Nested locations: searched as a server's own are when this prefix is the longest; as in nginx, a nested
  // prefix does not keep the regexes of the level above from being tried.
  std::vector<Location> locations;

  Action action = Action::None;
  ReturnAction return_action;
  ProxyAction proxy;
  StaticAction file;
  WebSocketAction websocket;
  ApiAction api;

  std::vector<AccessRule> access;
  std::vector<NameValue> add_headers;
  AccessLog access_log;
  std::map<std::string, std::string> types;  // Extension to media type.
  std::string default_type = "text/plain";
  uint64_t body_bytes_max = 1 << 20;         // client_max_body_size; 0: no limit.
  int64_t body_timeout_ms = 60'000;          // Between two reads of a body.
  int64_t send_timeout_ms = 60'000;          // Between two writes of a response.
  int64_t keepalive_timeout_ms = 75'000;     // 0: connections are not kept.
  uint32_t keepalive_requests = 1'000;
  bool server_tokens = true;
};

struct Server {
  std::vector<Listen> listens;
  std::vector<std::string> names;       // Lower case; "*.x", "x.*", "~regex" and "" as in nginx.
  std::vector<std::shared_ptr<const Regex>> name_regexes;  // Parallel to names; null for plain ones.
  std::vector<Location> locations;      // In the order written.
  Location fallback;                    // The server's own settings: requests that no location matches.
  int64_t header_timeout_ms = 60'000;   // client_header_timeout: a whole request head.
  uint64_t header_bytes_max = 32 << 10; // large_client_header_buffers: number x size.
  uint64_t request_line_bytes_max = 8 << 10;  // One such buffer: a request line, or one field line.
  uint32_t header_fields_max = 100;
  tls::ServerSettings tls_settings;     // ssl_...
  std::shared_ptr<const tls::ServerContext> tls;  // Null: it has no certificates.
};

struct Http {
  std::vector<Server> servers;
  std::map<std::string, std::shared_ptr<const Webhook>> webhooks;
  std::map<std::string, std::shared_ptr<const Upstream>> upstreams;
  std::vector<AccessRule> trusted;      // set_real_ip_from: whose X-Forwarded-* are believed.
  std::string real_ip_header = "X-Real-IP";
};

struct Config {
  // Main context; applies at (re)start unless the table says otherwise.
  std::string user = "nobody";          // Who the workers are when the master is root; else unused.
  std::string group;                    // Empty: the user's primary group.
  std::string pid_path = "/run/beamgate.pid";  // Empty: "pid off".
  bool daemon = true;
  bool master_process = true;
  uint32_t worker_processes = 0;        // Never 0 once read: auto becomes the number of cores.
  uint64_t worker_rlimit_nofile = 0;    // 0: left as it is.
  int64_t worker_shutdown_timeout_ms = 30'000;
  bool worker_keeper = true;
  bool master_keeper = true;
  int64_t upgrade_trial_ms = 2'000;     // 0: none.
  int64_t worker_watchdog_ms = 10'000;  // 0: off.
  std::string error_log_path = "stderr";
  log::Level error_log_level = log::Level::Notice;
  std::string working_directory;
  uint64_t bus_queue_bytes = 64 << 20;  // Bytes the master holds for one worker before it drops.
  uint64_t publication_bytes_max = 1 << 20;

  // Events.
  uint32_t worker_connections = 10'000;
  uint32_t connections_per_address = 0;  // 0: no limit.

  Http http;

  std::string dump;  // The expanded text with secrets in clear: what a worker parses on a reload.
};

}  // namespace beamgate::config
