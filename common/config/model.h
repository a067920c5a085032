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

#include "common/base/secret.h"
#include "common/config/script.h"
#include "common/config/template.h"
#include "common/config/value_map.h"
#include "common/log/log.h"
#include "common/tls/settings.h"

namespace beamgate::tls {
class ServerContext;  // common/tls/server_context.h
class ClientContext;  // common/tls/client_context.h
}  // namespace beamgate::tls

namespace beamgate::crypto {
class JwtVerifier;  // common/crypto/jwt.h
}  // namespace beamgate::crypto

namespace beamgate::config {

// A socket address with its text; numeric, resolved when the configuration is read.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text;  // "127.0.0.1:8080", "[::1]:80", "unix:/run/x.sock".
};

struct Listen {
  Address address;
  uint32_t id = 0;  // Stable: hash of address.text, and of "line" before it for a line block.
  int backlog = 511;
  bool ipv6_only = true;
  bool default_server = false;
  bool proxy_protocol = false;  // Clients are announced by a PROXY protocol header.
  bool tls = false;  // "ssl": for all servers of the address, whichever says it.
  bool http2 = false;  // As "ssl".
  bool owner_only = false;  // A unix socket that nobody else may connect to.
};

// "allow"/"deny" in order; the first match decides, none allows.
struct AccessRule {
  bool allow = true;
  bool all = false;
  int family = 0;           // AF_INET or AF_INET6 when !all; AF_UNIX for "unix:".
  unsigned char address[16] = {};
  unsigned prefix_bits = 0;
};

// Whom to believe about the client behind a peer, and by which word.
struct RealIp {
  std::vector<AccessRule> trusted;   // set_real_ip_from; their X-Forwarded-* are believed as well.
  std::string header = "X-Real-IP";  // real_ip_header; "proxy_protocol" is the PROXY protocol's address.
  bool recursive = false;            // The last address that is not trusted, instead of the last one.

  bool by_proxy_protocol() const { return header == "proxy_protocol"; }
};

// "limit_req_zone", "limit_conn_zone": requests with the same key are counted together, on the whole node.
struct LimitZone {
  std::string name;
  Template key;
  uint64_t bytes = 0;
  uint32_t rate_milli = 0;  // Requests in 1000 seconds; 0: a zone of limit_conn.
};

struct RequestLimit {
  static constexpr uint32_t kNoDelay = UINT32_MAX;

  std::shared_ptr<const LimitZone> zone;
  uint32_t burst_milli = 0;  // Thousandths of requests.
  uint32_t delay_milli = 0;  // Excess that isn't delayed yet; kNoDelay delays nothing.
};

struct ConnectionLimit {
  std::shared_ptr<const LimitZone> zone;
  uint32_t connections = 0;
};

struct Limits {
  std::vector<RequestLimit> requests;
  uint16_t request_status = 503;
  log::Level request_log_level = log::Level::Error;
  bool request_dry_run = false;
  std::vector<ConnectionLimit> connections;
  uint16_t connection_status = 503;
  log::Level connection_log_level = log::Level::Error;
  bool connection_dry_run = false;
  uint64_t rate_bytes = 0;        // limit_rate, bytes a second; 0: no limit.
  uint64_t rate_after_bytes = 0;  // limit_rate_after.
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
  std::vector<Address> fastcgi;  // The first is spoken to in FastCGI; none: HTTP, as the URL says.
  std::string script_filename;   // What they are to run.
  std::vector<Secret> secrets;       // Decoded keys; the first signs, the second is added during rotation.
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
  tls::File tls_ca;                     // Not named: the system's store.
  std::vector<std::string> forward_headers;  // Handshake fields passed on, lower case.
  std::string pusher_key;               // Not empty: events go out in Pusher's form, with this key,
  Secret pusher_secret;                 // signed by this secret.
  bool grip = false;                    // WebSocket-over-HTTP (GRIP) instead of CloudEvents.
  Secret grip_key;                      // Signs Grip-Sig; empty: nothing does.
  std::string grip_issuer = "pushpin";
};

// "channels PATTERN { ... }": what holds for the channels of these names; and "users { ... }", for the channels of users.
struct ChannelRules {
  // Who may subscribe, where the protocol's own rules (Pusher's prefixes) don't say.
  enum class Access : uint8_t { Open, Token, Webhook, Denied };

  std::string pattern;                 // "*" stands for any characters.
  Access access = Access::Open;        // subscribe
  bool client_publish = true;          // publish: subscribers may publish.
  bool presence = false;
  bool join_leave = true;              // Members are told who comes and goes.
  uint32_t presence_limit = 1'000;     // Users; above it there are numbers instead of names.
  int64_t leave_delay_ms = 0;          // presence_leave_delay: a user that is back by then was never away.
  uint32_t history = 0;                // Publications that are kept; 0: none.
  int64_t history_ttl_ms = 0;
  bool cache = false;                  // New subscribers are given the newest publication.
  uint32_t subscribers_max = 0;        // Of one channel, on the node; 0: no limit.
  uint32_t rate_milli = 0;             // Publications by clients in 1000 seconds, per channel; 0: no limit.
  uint32_t rate_burst = 0;
  int64_t conflate_ms = 0;             // Only the newest publication in so much time is delivered; 0: all are.
  // What a publication does that finds half of a subscriber's send queue taken: what the connection's own policy says
  // once it is full; or it is not for this subscriber, who keeps the other half for other channels.
  enum class SlowReader : uint8_t { Default, Skip };
  SlowReader slow_reader = SlowReader::Default;
  bool wildcards = false;              // Clients may subscribe to names with "*" for a segment.
  std::shared_ptr<const Webhook> webhook;           // Asked about subscriptions and publications.
  std::shared_ptr<const Webhook> presence_webhook;  // Told who comes and goes; null: nobody.
};

// "token NAME { ... }": how a signed token (JWT, RFC 7519) says who a client is.
struct TokenRules {
  std::string name;
  std::vector<Secret> secrets;       // HS256; decoded.
  Secret jwks;                       // Text of a JWK set (RFC 7517), for HS256, RS256 and ES256; may be empty.
  std::string audience;              // What "aud" has to contain; empty: anything.
  std::string issuer;                // What "iss" has to be; empty: anything.
  std::string user_claim = "sub";
  std::shared_ptr<const crypto::JwtVerifier> verifier;  // By all of these; never null once read.
};

// What an app's webhook is told; a set of them.
enum AppEvent : uint32_t {
  kAppChannelOccupied = 1 << 0,
  kAppChannelVacated = 1 << 1,
  kAppMemberAdded = 1 << 2,
  kAppMemberRemoved = 1 << 3,
  kAppClientEvent = 1 << 4,
  kAppCacheMiss = 1 << 5,
  kAppSubscriptionCount = 1 << 6,
  kAppEventsAll = (1 << 7) - 1,
};

// "app NAME { ... }": an application of the Pusher protocol.
struct App {
  std::string name;
  std::string id;
  std::string key;
  Secret secret;
  bool client_events = true;
  bool subscription_count = true;
  uint32_t client_events_per_second = 10;
  std::string channel_prefix;    // common/config/app_channels.h; empty: none.
  uint32_t connections_max = 0;  // On the node; 0: no limit.
  uint32_t webhook_events = kAppEventsAll;
  std::shared_ptr<const Webhook> webhook;  // Its own, named app_webhook_name(); null: nobody is told.
};

std::string app_webhook_name(std::string_view app);  // No webhook block can have this name.

struct UpstreamServer {
  Address address;                 // Length 0: a name that is to be resolved, and could not be yet.
  uint32_t weight = 1;
  bool backup = false;
  bool down = false;
  uint32_t max_fails = 1;          // 0: failures never put it aside.
  int64_t fail_timeout_ms = 10'000;
  uint32_t max_conns = 0;          // Requests on it at a time, per worker; 0: no limit.
  int64_t slow_start_ms = 0;       // 0: a recovered server has its whole weight at once.
  std::string resolve;             // "name:port" that is asked for again at run time; empty: the address stays.
};

// "health_check": what every worker asks each server of an upstream.
struct HealthCheck {
  bool on = false;
  std::string uri = "/";
  int64_t interval_ms = 5'000;
  int64_t timeout_ms = 1'000;      // Connecting and the response's head together.
  uint32_t fails = 1;              // In a row: out.
  uint32_t passes = 1;             // In a row: back.
  uint16_t status_min = 200;
  uint16_t status_max = 399;
  uint16_t port = 0;               // 0: the server's own.
  bool fastcgi = false;            // Asks for the script uri, instead of by HTTP.
};

// How an upstream chooses a server.
struct Balancing {
  enum class Method : uint8_t { RoundRobin, LeastConn, Hash, IpHash, Random };

  Method method = Method::RoundRobin;
  Template key;              // Hash.
  bool consistent = false;   // Hash: on a ring, so that a change of servers moves few keys.
  bool two = false;          // Random: two are drawn, and the one with fewer requests is taken.
};

// "upstream NAME { ... }", or made implicitly by proxy_pass http://host:port.
struct Upstream {
  std::string name;
  std::vector<UpstreamServer> servers;
  Balancing balancing;
  HealthCheck health;
  uint32_t keepalive = 64;              // Idle connections kept, per worker.
  int64_t keepalive_timeout_ms = 60'000;
  uint32_t keepalive_requests = 10'000;
};

// What "proxy_next_upstream" lists; a set of them.
enum NextUpstream : uint32_t {
  kNextError = 1 << 0,
  kNextTimeout = 1 << 1,
  kNextInvalidHeader = 1 << 2,
  kNext500 = 1 << 3,
  kNext502 = 1 << 4,
  kNext503 = 1 << 5,
  kNext504 = 1 << 6,
  kNext403 = 1 << 7,
  kNext404 = 1 << 8,
  kNext429 = 1 << 9,
  kNextNonIdempotent = 1 << 10,
};

// "proxy_redirect", "proxy_cookie_domain" or "proxy_cookie_path": what begins a value, and what takes its place.
struct ProxyRewrite {
  bool standard = false;  // "proxy_redirect default".
  Template from;          // A prefix; of a cookie's domain the whole.
  Template to;
};

// What passing a request to a server has in common, whatever is spoken to it; each protocol has its own directives.
struct BackendAction {
  std::shared_ptr<const Upstream> upstream;
  int64_t connect_timeout_ms = 60'000;
  int64_t send_timeout_ms = 60'000;
  int64_t read_timeout_ms = 60'000;
  uint64_t buffer_bytes = 64 << 10;    // Most that is held in each direction of one exchange.
  uint32_t next_upstream = kNextError | kNextTimeout;
  uint32_t next_upstream_tries = 0;    // 0: every server once.
  int64_t next_upstream_timeout_ms = 0;  // After it no other server is tried; 0: no limit.
  bool request_buffering = false;      // The whole body is read first, into a file when it is large.
  std::string temp_path = "/tmp";      // Where that file is made; it never has a name.
  bool intercept_errors = false;       // Answers that error_page knows are replaced.
  bool ignore_client_abort = false;    // A request goes on when the client has closed its side.
  std::vector<std::string> hide_headers;
  std::vector<std::string> pass_headers;
};

// What proxy_pass itself says; another one says all of it anew.
struct ProxyTarget {
  // With variables, whose values are known with each request only; both empty: it has none.
  Template host_template;       // The upstream's name; empty: the action's `upstream` is meant.
  Template uri_template;        // Behind what host_template says.
  bool varies() const { return !host_template.empty() || !uri_template.empty(); }

  std::string host;             // Its authority, for the default Host header.
  bool has_uri = false;         // "proxy_pass http://b/x": the location's prefix is replaced by uri.
  std::string uri;
  bool https = false;           // It says https://.
  std::shared_ptr<const tls::ClientContext> tls;  // Null unless it does.
  std::string tls_host;         // Its host.
};

struct ProxyAction : BackendAction, ProxyTarget {
  void forget_target() {
    upstream = nullptr;
    static_cast<ProxyTarget&>(*this) = {};
  }

  std::vector<NameValue> set_headers;  // proxy_set_header; an empty value removes the field.
  int http_minor = 1;                  // Of HTTP/1.x, as the request says.
  bool pass_trailers = false;
  std::vector<ProxyRewrite> redirects = {{.standard = true}};  // The first that fits.
  std::vector<ProxyRewrite> cookie_domains;
  std::vector<ProxyRewrite> cookie_paths;
  int proxy_protocol = 0;              // Version of the header that announces the client; 0: none.

  tls::ClientSettings tls_settings;    // proxy_ssl_...
  bool tls_server_name = false;        // Whether the server is told the name (SNI).
  Template tls_name;                   // What the certificate is checked against; empty: proxy_pass's host.
};

struct FastcgiParam {
  std::string name;
  Template value;
  bool if_not_empty = false;
};

struct FastcgiAction : BackendAction {
  FastcgiAction() { request_buffering = true; }

  std::vector<FastcgiParam> params;    // fastcgi_param; a later one of the same name is sent behind the earlier.
  std::string index;                   // Appended to a script name that ends in "/"; may be empty.
  std::shared_ptr<const Regex> split;  // fastcgi_split_path_info: script name and path info; null: none.
  bool keep_conn = false;              // The server is asked not to close the connection.
  bool pass_request_headers = true;
  bool pass_request_body = true;
};

struct StaticAction {
  std::string root;   // The URI is appended to root ...
  std::string alias;  // ... or what follows the location's prefix to alias.  One of both is set.
  std::vector<std::string> index = {"index.html"};
};

// "websocket_rate": how fast messages may come.
struct MessageRate {
  enum class Of : uint8_t { Connection, User, Address };
  enum class Policy : uint8_t { Delay, Drop, Close };

  Of of = Of::Connection;
  Policy policy = Policy::Delay;
  uint32_t rate_milli = 0;  // Messages in 1000 seconds.
  uint32_t burst = 1;       // What may come at once.
};

struct WebSocketAction {
  enum class Mode : uint8_t { Raw, Echo, Pusher, Phoenix, Centrifuge };
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
  std::vector<MessageRate> rates;
  bool deflate = false;
  int deflate_level = 1;
  uint64_t deflate_bytes_min = 256;              // Smaller messages go uncompressed.
  int deflate_server_window_bits = 12;           // 9 to 15; bounds memory per connection.
  int deflate_client_window_bits = 15;
  bool deflate_context_takeover = true;          // false: both no_context_takeover parameters are demanded.
  std::shared_ptr<const TokenRules> token;            // Clients show such a token; null: none is looked at.
  std::vector<std::shared_ptr<const App>> apps;  // Pusher: those that may be connected to; empty: all.
};

// Channels that a request may follow: those that the configuration names, and those that the query does.
struct ChannelList {
  std::vector<Template> names;
  std::string argument;  // "argument=channel": each "?channel=" names one more; empty: none does.
};

// Which pages may read an answer (the Fetch standard's CORS protocol).
struct CrossOrigin {
  std::vector<std::string> origins;  // As WebSocketAction::origins; empty: all, which then can't send credentials.
  bool credentials = false;          // Pages of those origins may send their cookies.
};

// What following channels by plain HTTP has in common.
struct ChannelReaderAction {
  ChannelList channels;
  CrossOrigin cross_origin;
  std::shared_ptr<const TokenRules> token;  // Requests show such a token; null: none is looked at.
};

// "sse": channels as text/event-stream.
struct EventStreamAction : ChannelReaderAction {
  int64_t keepalive_ms = 15'000;     // A comment goes out so often; 0: never.
  int64_t retry_ms = 2'000;          // When a client shall come back; 0: as it likes.
  uint64_t send_queue_bytes = 1 << 20;
  WebSocketAction::SlowReader slow_reader = WebSocketAction::SlowReader::Close;
};

// "longpoll": channels by one request for each batch of publications.
struct LongPollAction : ChannelReaderAction {
  int64_t timeout_ms = 25'000;       // Then the answer is that there was nothing.
  uint32_t publications_max = 100;   // In one answer.
};

// "line { ... }": TCP clients that speak in lines.
struct LineServer {
  std::vector<Listen> listens;
  std::string room_prefix;           // A room's channel is its name behind this.
  uint64_t line_bytes_max = 4 << 10;
  uint32_t rate = 100;               // Lines of one client in a second; 0: no limit.
  uint64_t send_queue_bytes = 256 << 10;
  WebSocketAction::SlowReader slow_reader = WebSocketAction::SlowReader::Close;
  int64_t idle_timeout_ms = 0;       // Nothing received for so long: closed.  0: never.
};

struct ApiAction {
  std::vector<Secret> keys;  // api_key; empty: only reachable as allow/deny says.
};

struct DashboardAction {
  std::vector<Secret> tokens;  // dashboard_token; empty: answered to this machine only.
};

// What "gzip_proxied" lists; a set of them.
enum GzipProxied : uint32_t {
  kProxiedExpired = 1 << 0,
  kProxiedNoCache = 1 << 1,
  kProxiedNoStore = 1 << 2,
  kProxiedPrivate = 1 << 3,
  kProxiedNoLastModified = 1 << 4,
  kProxiedNoEtag = 1 << 5,
  kProxiedAuth = 1 << 6,
  kProxiedAny = 1 << 7,
};

struct Gzip {
  enum class Static : uint8_t { Off, On, Always };

  bool on = false;
  std::vector<std::string> types = {"text/html"};  // Lower case.
  bool all_types = false;
  uint64_t bytes_min = 20;    // Shorter bodies are left as they are.
  int level = 1;
  bool vary = false;
  uint32_t proxied = 0;       // For requests with Via: a set of GzipProxied.
  int http_minor = 1;         // The least version of a request, HTTP/1.x.
  std::vector<std::shared_ptr<const Regex>> disabled;  // By User-Agent.
  Static files = Static::Off;  // gzip_static.
};

enum class Action : uint8_t {
  None, Proxy, Fastcgi, Static, WebSocket, Api, Status, StubStatus, Metrics, LogLevel, LivePage, Dashboard, PusherApi, EventStream, LongPoll, GripPublish
};
constexpr Action kLastAction = Action::GripPublish;

enum class LocationMatch : uint8_t { Prefix, PrefixFinal /* ^~ */, Exact /* = */, Regex, RegexNoCase, Named /* @x */ };

// "try_files": the first of several files that there is, else another path or a status.
struct TryFiles {
  std::vector<Template> names;  // Empty: there is no try_files.
  Template elsewhere;           // "/path?args" or "@location", unless there is a status.
  uint16_t status = 0;
};

// "error_page": where the answers with these statuses come from.
struct ErrorPage {
  static constexpr uint16_t kKeep = 0;    // Without "=": the answer has the error's status.
  static constexpr uint16_t kTheirs = 1;  // "=": it has the status of what answers instead.

  std::vector<uint16_t> statuses;
  uint16_t response = kKeep;  // Else the status to answer with ("=200").
  Template target;            // "/path?args", "@location", or the URL of a redirect.
};

struct AccessLog {
  // How a variable's bytes are written: \xHH, as within a JSON string, or as they are.
  enum class Escape : uint8_t { Default, Json, None };

  std::string path;  // Or "syslog:...", as common/log/syslog.h reads it.
  Template format;
  Escape escape = Escape::Default;
  bool conditional = false;  // "if=": only when the condition is neither empty nor "0".
  Template condition;
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

  Script script;                        // Of this block; not inherited.
  TryFiles try_files;                   // Likewise.
  std::vector<ErrorPage> error_pages;
  bool recursive_error_pages = false;
  bool internal = false;                // Requests from outside find nothing (404).

  Action action = Action::None;
  ProxyAction proxy;
  FastcgiAction fastcgi;
  StaticAction file;
  WebSocketAction websocket;
  EventStreamAction event_stream;
  LongPollAction long_poll;
  ApiAction api;
  DashboardAction dashboard;

  std::vector<AccessRule> access;
  RealIp real_ip;
  Limits limits;
  Gzip gzip;
  std::vector<NameValue> add_headers;
  std::vector<AccessLog> access_logs;
  std::map<std::string, std::string> types;  // Extension to media type.
  std::string default_type = "text/plain";
  uint64_t body_bytes_max = 1 << 20;         // client_max_body_size; 0: no limit.
  int64_t body_timeout_ms = 60'000;          // Between two reads of a body.
  int64_t send_timeout_ms = 60'000;          // Between two writes of a response.
  int64_t keepalive_timeout_ms = 75'000;     // 0: connections are not kept.
  int64_t keepalive_header_ms = 0;           // What the field Keep-Alive tells clients; 0: there is none.
  uint32_t keepalive_requests = 1'000;
  bool server_tokens = true;
};

struct Server {
  std::vector<Listen> listens;
  std::vector<std::string> names;       // Lower case; "*.x", "x.*", "~regex" and "" as in nginx.
  std::vector<std::shared_ptr<const Regex>> name_regexes;  // Parallel to names; null for plain ones.
  std::vector<Location> locations;      // In the order written.
  Location fallback;                    // Its script comes before the search of a location.  The server's own settings: requests that no location matches.
  int64_t header_timeout_ms = 60'000;   // client_header_timeout: a whole request head.
  uint64_t header_bytes_max = 32 << 10; // large_client_header_buffers: number x size.
  uint64_t request_line_bytes_max = 8 << 10;  // One such buffer: a request line, or one field line.
  uint32_t header_fields_max = 100;
  bool http2 = false;                   // HTTP/2 is spoken too, at all of its addresses.
  uint32_t http2_streams_max = 128;     // http2_max_concurrent_streams
  uint64_t http2_window_bytes = 64 << 10;  // http2_body_preread_size: of one request's body, before it is taken.
  bool underscores_in_headers = false;  // Fields with "_" in their names are not left out.
  tls::ServerSettings tls_settings;     // ssl_...
  std::shared_ptr<const tls::ServerContext> tls;  // Null: it has no certificates.
};

// Whom the names of "server name resolve" are asked of.
struct Resolver {
  std::vector<Address> servers;  // Empty: as the system's resolver is configured, /etc/hosts included.
  int64_t valid_ms = 0;          // How long an answer is used; 0: as long as it says.
  bool ipv6 = true;
  int64_t timeout_ms = 30'000;
};

struct Http {
  std::vector<Server> servers;
  Resolver resolver;
  std::map<std::string, std::shared_ptr<const Webhook>> webhooks;
  std::map<std::string, std::shared_ptr<const Upstream>> upstreams;
  std::map<std::string, std::shared_ptr<const LimitZone>> limit_zones;
  std::vector<std::shared_ptr<const ChannelRules>> channels;  // In the order written.
  std::shared_ptr<const ChannelRules> users;                  // Of the channels of users; null: the defaults.
  std::map<std::string, std::shared_ptr<const TokenRules>> tokens;
  std::map<std::string, std::shared_ptr<const App>> apps;
  std::map<std::string, std::shared_ptr<const ValueMap>, std::less<>> maps;  // By the variable's name.
  bool traces_upstream_fields = false;  // $upstream_http_... stands somewhere;
  bool traces_sent_fields = false;      // $sent_http_... does.
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
  bool worker_sandbox = true;
  bool master_keeper = true;
  int64_t upgrade_trial_ms = 2'000;     // 0: none.
  int64_t worker_watchdog_ms = 10'000;  // 0: off.
  std::string error_log_path = "stderr";  // Or a file, or "syslog:..." (common/log/syslog.h).
  log::Level error_log_level = log::Level::Notice;
  std::string control_path;             // Of the unix socket that "beamgate ctl" speaks to; empty: none.
  std::string working_directory;
  uint64_t bus_queue_bytes = 64 << 20;  // Bytes the master holds for one worker before it drops.
  uint64_t publication_bytes_max = 1 << 20;
  uint64_t history_bytes_max = 256 << 20;  // Of all channels together; the oldest publication goes first.
  uint64_t memory_limit_bytes = 0;       // Of one worker; 0: no limit.

  // Events.
  uint32_t worker_connections = 10'000;
  uint32_t connections_per_address = 0;  // 0: no limit.

  Http http;
  std::vector<LineServer> lines;

  Secret dump;  // The expanded text with secrets in clear: what a worker parses on a reload.
};

// Every address that is listened at, with what is said of it; several servers may name the same.
template <typename Visit>
void for_each_listen(const Config& config, Visit&& visit) {
  for (const Server& server : config.http.servers) {
    for (const Listen& listen : server.listens) visit(listen);
  }
  for (const LineServer& line : config.lines) {
    for (const Listen& listen : line.listens) visit(listen);
  }
}

}  // namespace beamgate::config
