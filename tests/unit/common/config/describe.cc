#include "tests/unit/common/config/describe.h"

#include <sstream>

#include "common/base/bytes.h"
#include "common/config/app_channels.h"
#include "common/config/channel_rules.h"
#include "common/config/regex.h"

namespace beamgate::config {
namespace {

class Writer {
 public:
  template <typename T>
  void field(const char* name, const T& value) {
    if constexpr (std::is_enum_v<T>) {
      out_ << name << '=' << static_cast<int>(value) << '\n';
    } else {
      out_ << name << '=' << value << '\n';
    }
  }
  void field(const char* name, const std::vector<std::string>& values) {
    for (const std::string& value : values) field(name, value);
  }
  void field(const char* name, const std::vector<Secret>& values) {
    for (const Secret& value : values) field(name, value);
  }
  void field(const char* name, const Template& value) { field(name, value.source()); }
  void field(const char* name, const std::vector<NameValue>& values) {
    for (const NameValue& value : values) {
      field(name, value.name + ": " + value.value.source() + (value.always ? " always" : ""));
    }
  }
  void field(const char* name, const std::vector<AccessRule>& rules) {
    for (const AccessRule& rule : rules) {
      out_ << name << '=' << rule.allow << rule.all << ' ' << rule.family << ' '
           << to_hex({reinterpret_cast<const char*>(rule.address), sizeof rule.address}) << '/'
           << rule.prefix_bits << '\n';
    }
  }
  void field(const char* name, const Address& address) {
    out_ << name << '=' << address.text << ' '
         << to_hex({reinterpret_cast<const char*>(&address.storage), address.length}) << '\n';
  }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

void describe(Writer& w, const Webhook& webhook) {
  w.field("webhook", webhook.name);
  w.field("url", webhook.url);
  w.field("unix_socket", webhook.unix_socket);
  for (const Address& address : webhook.fastcgi) w.field("fastcgi_pass", address);
  w.field("script_filename", webhook.script_filename);
  w.field("secret", webhook.secrets);
  w.field("timeout", webhook.timeout_ms);
  w.field("connect_timeout", webhook.connect_timeout_ms);
  w.field("concurrency", webhook.concurrency);
  w.field("queue", webhook.queue);
  w.field("connection_queue", webhook.connection_queue);
  w.field("reply_max", webhook.reply_bytes_max);
  w.field("batch_max", webhook.batch_events_max);
  w.field("batch_delay", webhook.batch_delay_ms);
  w.field("event_queue", webhook.event_queue);
  w.field("retry_delay", webhook.retry_delay_ms);
  w.field("retry_delay_max", webhook.retry_delay_max_ms);
  w.field("retry_time", webhook.retry_time_ms);
  w.field("breaker_failures", webhook.breaker_failures);
  w.field("breaker_cooldown", webhook.breaker_cooldown_ms);
  w.field("on_error", webhook.on_error);
  w.field("tls_verify", webhook.tls_verify);
  w.field("tls_ca_file", webhook.tls_ca.path);
  w.field("forward_headers", webhook.forward_headers);
  w.field("pusher_key", webhook.pusher_key);
  w.field("pusher_secret", webhook.pusher_secret);
  w.field("grip", webhook.grip);
  w.field("grip_key", webhook.grip_key);
  w.field("grip_issuer", webhook.grip_issuer);
}

void describe(Writer& w, const App& app) {
  w.field("app", app.name);
  w.field("app.id", app.id);
  w.field("app.key", app.key);
  w.field("app.secret", app.secret);
  w.field("app.channel_prefix", app.channel_prefix);
  w.field("app.connections_max", app.connections_max);
  w.field("app.client_events", app.client_events);
  w.field("app.client_event_rate", app.client_events_per_second);
  w.field("app.subscription_count", app.subscription_count);
  w.field("app.webhook_events", app.webhook_events);
  if (app.webhook != nullptr) describe(w, *app.webhook);
}

void describe(Writer& w, const ChannelRules& rules) {
  w.field("channels", rules.pattern);
  w.field("access", rules.access);
  w.field("publish", rules.client_publish);
  w.field("presence", rules.presence);
  w.field("join_leave", rules.join_leave);
  w.field("presence_limit", rules.presence_limit);
  w.field("leave_delay", rules.leave_delay_ms);
  w.field("history", rules.history);
  w.field("history_ttl", rules.history_ttl_ms);
  w.field("cache", rules.cache);
  w.field("subscribers_max", rules.subscribers_max);
  w.field("rate", rules.rate_milli);
  w.field("burst", rules.rate_burst);
  w.field("conflate", rules.conflate_ms);
  w.field("slow_reader", rules.slow_reader);
  w.field("wildcards", rules.wildcards);
  w.field("webhook", rules.webhook ? rules.webhook->name : "");
  w.field("presence_webhook", rules.presence_webhook ? rules.presence_webhook->name : "");
}

void describe(Writer& w, const Upstream& upstream) {
  w.field("upstream", upstream.name);
  for (const UpstreamServer& server : upstream.servers) {
    w.field("server", server.address);
    w.field("weight", server.weight);
    w.field("backup", server.backup);
    w.field("down", server.down);
    w.field("max_fails", server.max_fails);
    w.field("fail_timeout", server.fail_timeout_ms);
    w.field("max_conns", server.max_conns);
    w.field("slow_start", server.slow_start_ms);
    w.field("resolve", server.resolve);
  }
  w.field("balancing.method", upstream.balancing.method);
  w.field("balancing.key", upstream.balancing.key);
  w.field("balancing.consistent", upstream.balancing.consistent);
  w.field("balancing.two", upstream.balancing.two);
  const HealthCheck& health = upstream.health;
  w.field("health.on", health.on);
  w.field("health.uri", health.uri);
  w.field("health.interval", health.interval_ms);
  w.field("health.timeout", health.timeout_ms);
  w.field("health.fails", health.fails);
  w.field("health.passes", health.passes);
  w.field("health.status_min", health.status_min);
  w.field("health.status_max", health.status_max);
  w.field("health.port", health.port);
  w.field("health.fastcgi", health.fastcgi);
  w.field("keepalive", upstream.keepalive);
  w.field("keepalive_timeout", upstream.keepalive_timeout_ms);
  w.field("keepalive_requests", upstream.keepalive_requests);
}

void describe(Writer& w, const char* name, const std::vector<ProxyRewrite>& rewrites) {
  for (const ProxyRewrite& rewrite : rewrites) {
    w.field(name, rewrite.standard);
    w.field("from", rewrite.from);
    w.field("to", rewrite.to);
  }
}

void describe(Writer& w, const BackendAction& backend) {
  w.field("upstream", backend.upstream ? backend.upstream->name : "");
  w.field("connect_timeout", backend.connect_timeout_ms);
  w.field("send_timeout", backend.send_timeout_ms);
  w.field("read_timeout", backend.read_timeout_ms);
  w.field("buffer", backend.buffer_bytes);
  w.field("next_upstream", backend.next_upstream);
  w.field("next_upstream_tries", backend.next_upstream_tries);
  w.field("next_upstream_timeout", backend.next_upstream_timeout_ms);
  w.field("intercept_errors", backend.intercept_errors);
  w.field("ignore_client_abort", backend.ignore_client_abort);
  w.field("request_buffering", backend.request_buffering);
  w.field("temp_path", backend.temp_path);
  w.field("hide_headers", backend.hide_headers);
  w.field("pass_headers", backend.pass_headers);
}

void describe(Writer& w, const FastcgiAction& fastcgi) {
  describe(w, static_cast<const BackendAction&>(fastcgi));
  for (const FastcgiParam& param : fastcgi.params) {
    w.field("fastcgi.param", param.name + "=" + param.value.source() + (param.if_not_empty ? " if_not_empty" : ""));
  }
  w.field("fastcgi.index", fastcgi.index);
  w.field("fastcgi.split", fastcgi.split ? fastcgi.split->pattern() : "");
  w.field("fastcgi.keep_conn", fastcgi.keep_conn);
  w.field("fastcgi.pass_request_headers", fastcgi.pass_request_headers);
  w.field("fastcgi.pass_request_body", fastcgi.pass_request_body);
}

void describe(Writer& w, const ProxyAction& proxy) {
  describe(w, static_cast<const BackendAction&>(proxy));
  w.field("proxy.host", proxy.host);
  w.field("proxy.has_uri", proxy.has_uri);
  w.field("proxy.uri", proxy.uri);
  w.field("proxy.set_headers", proxy.set_headers);
  w.field("proxy.http_minor", proxy.http_minor);
  w.field("proxy.pass_trailers", proxy.pass_trailers);
  describe(w, "proxy.redirect", proxy.redirects);
  describe(w, "proxy.cookie_domain", proxy.cookie_domains);
  describe(w, "proxy.cookie_path", proxy.cookie_paths);
  w.field("proxy.proxy_protocol", proxy.proxy_protocol);
}

void describe(Writer& w, const TokenRules& token) {
  w.field("token", token.name);
  w.field("token.secret", token.secrets);
  w.field("token.jwks", token.jwks);
  w.field("token.audience", token.audience);
  w.field("token.issuer", token.issuer);
  w.field("token.user_claim", token.user_claim);
}

void describe(Writer& w, const WebSocketAction& websocket) {
  w.field("ws.mode", websocket.mode);
  w.field("ws.webhook", websocket.webhook ? websocket.webhook->name : "");
  w.field("ws.token", websocket.token ? websocket.token->name : "");
  for (const Template& channel : websocket.subscribe) w.field("ws.subscribe", channel);
  w.field("ws.publish", websocket.publish);
  w.field("ws.message_max", websocket.message_bytes_max);
  w.field("ws.send_queue", websocket.send_queue_bytes);
  w.field("ws.slow_reader", websocket.slow_reader);
  w.field("ws.ping_interval", websocket.ping_interval_ms);
  w.field("ws.idle_timeout", websocket.idle_timeout_ms);
  w.field("ws.close_timeout", websocket.close_timeout_ms);
  for (const MessageRate& rate : websocket.rates) {
    w.field("ws.rate.of", rate.of);
    w.field("ws.rate", rate.rate_milli);
    w.field("ws.rate.burst", rate.burst);
    w.field("ws.rate.policy", rate.policy);
  }
  w.field("ws.origins", websocket.origins);
  w.field("ws.subprotocols", websocket.subprotocols);
  w.field("ws.deflate", websocket.deflate);
  w.field("ws.deflate_level", websocket.deflate_level);
  w.field("ws.deflate_min", websocket.deflate_bytes_min);
  w.field("ws.deflate_server", websocket.deflate_server_window_bits);
  w.field("ws.deflate_client", websocket.deflate_client_window_bits);
  w.field("ws.deflate_takeover", websocket.deflate_context_takeover);
  for (const auto& app : websocket.apps) w.field("ws.app", app->name);
}

void describe(Writer& w, const ChannelReaderAction& reader) {
  for (const Template& channel : reader.channels.names) w.field("channel", channel);
  w.field("channel.argument", reader.channels.argument);
  w.field("cross_origin", reader.cross_origin.origins);
  w.field("cross_origin.credentials", reader.cross_origin.credentials);
  w.field("reader.token", reader.token ? reader.token->name : "");
}

void describe(Writer& w, const EventStreamAction& stream) {
  describe(w, static_cast<const ChannelReaderAction&>(stream));
  w.field("sse.keepalive", stream.keepalive_ms);
  w.field("sse.retry", stream.retry_ms);
  w.field("sse.send_queue", stream.send_queue_bytes);
  w.field("sse.slow_reader", stream.slow_reader);
}

void describe(Writer& w, const LongPollAction& poll) {
  describe(w, static_cast<const ChannelReaderAction&>(poll));
  w.field("longpoll.timeout", poll.timeout_ms);
  w.field("longpoll.publications", poll.publications_max);
}

void describe(Writer& w, const LineServer& line) {
  for (const Listen& listen : line.listens) {
    w.field("line.listen", listen.address);
    w.field("line.id", listen.id);
    w.field("line.backlog", listen.backlog);
  }
  w.field("line.room_prefix", line.room_prefix);
  w.field("line.max", line.line_bytes_max);
  w.field("line.rate", line.rate);
  w.field("line.send_queue", line.send_queue_bytes);
  w.field("line.slow_reader", line.slow_reader);
  w.field("line.idle_timeout", line.idle_timeout_ms);
}

void describe(Writer& w, const LimitZone& zone) {
  w.field("zone", zone.name);
  w.field("zone.key", zone.key);
  w.field("zone.bytes", zone.bytes);
  w.field("zone.rate", zone.rate_milli);
}

void describe(Writer& w, const Limits& limits) {
  for (const RequestLimit& limit : limits.requests) {
    describe(w, *limit.zone);
    w.field("limit.burst", limit.burst_milli);
    w.field("limit.delay", limit.delay_milli);
  }
  w.field("limit_req.status", limits.request_status);
  w.field("limit_req.log_level", limits.request_log_level);
  w.field("limit_req.dry_run", limits.request_dry_run);
  for (const ConnectionLimit& limit : limits.connections) {
    describe(w, *limit.zone);
    w.field("limit.connections", limit.connections);
  }
  w.field("limit_conn.status", limits.connection_status);
  w.field("limit_conn.log_level", limits.connection_log_level);
  w.field("limit_conn.dry_run", limits.connection_dry_run);
  w.field("limit_rate", limits.rate_bytes);
  w.field("limit_rate_after", limits.rate_after_bytes);
}

void describe(Writer& w, const Location& location);

void describe(Writer& w, const Script& script) {
  for (const Step& step : script) {
    w.field("step", step.kind);
    w.field("set", step.variable);
    w.field("set.value", step.value);
    w.field("rewrite.regex", step.rewrite.regex ? step.rewrite.regex->pattern() : "");
    w.field("rewrite.replacement", step.rewrite.replacement);
    w.field("rewrite.keep_args", step.rewrite.keep_args);
    w.field("rewrite.flag", step.rewrite.flag);
    w.field("return.status", step.answer.status);
    w.field("return.has_text", step.answer.has_text);
    w.field("return.text", step.answer.text);
    w.field("if.test", step.condition.test);
    w.field("if.negated", step.condition.negated);
    w.field("if.subject", step.condition.subject);
    w.field("if.operand", step.condition.operand);
    w.field("if.regex", step.condition.regex ? step.condition.regex->pattern() : "");
    describe(w, step.body);
    if (step.location != nullptr) describe(w, *step.location);
  }
}

void describe(Writer& w, const Gzip& gzip) {
  w.field("gzip", gzip.on);
  w.field("gzip.types", gzip.types);
  w.field("gzip.all_types", gzip.all_types);
  w.field("gzip.min", gzip.bytes_min);
  w.field("gzip.level", gzip.level);
  w.field("gzip.vary", gzip.vary);
  w.field("gzip.proxied", gzip.proxied);
  w.field("gzip.http_minor", gzip.http_minor);
  for (const auto& regex : gzip.disabled) w.field("gzip.disabled", regex->pattern());
  w.field("gzip.files", gzip.files);
}

void describe(Writer& w, const Location& location) {
  w.field("location", location.pattern);
  w.field("id", location.id);
  w.field("match", location.match);
  w.field("regex", location.regex ? location.regex->pattern() : "");
  w.field("action", location.action);
  describe(w, location.script);
  for (const Template& name : location.try_files.names) w.field("try_files", name);
  w.field("try_files.elsewhere", location.try_files.elsewhere);
  w.field("try_files.status", location.try_files.status);
  for (const ErrorPage& page : location.error_pages) {
    for (const uint16_t status : page.statuses) w.field("error_page", status);
    w.field("error_page.response", page.response);
    w.field("error_page.target", page.target);
  }
  w.field("recursive_error_pages", location.recursive_error_pages);
  w.field("internal", location.internal);
  describe(w, location.proxy);
  describe(w, location.fastcgi);
  w.field("file.root", location.file.root);
  w.field("file.alias", location.file.alias);
  w.field("file.index", location.file.index);
  describe(w, location.websocket);
  describe(w, location.event_stream);
  describe(w, location.long_poll);
  w.field("api.keys", location.api.keys);
  w.field("dashboard.tokens", location.dashboard.tokens);
  w.field("access", location.access);
  w.field("trusted", location.real_ip.trusted);
  w.field("real_ip_header", location.real_ip.header);
  w.field("real_ip_recursive", location.real_ip.recursive);
  describe(w, location.limits);
  describe(w, location.gzip);
  w.field("add_headers", location.add_headers);
  for (const AccessLog& log : location.access_logs) {
    w.field("access_log.path", log.path);
    w.field("access_log.format", log.format);
    w.field("access_log.escape", log.escape);
    w.field("access_log.conditional", log.conditional);
    w.field("access_log.condition", log.condition);
  }
  for (const auto& [extension, type] : location.types) w.field(extension.c_str(), type);
  w.field("default_type", location.default_type);
  w.field("body_max", location.body_bytes_max);
  w.field("body_timeout", location.body_timeout_ms);
  w.field("send_timeout", location.send_timeout_ms);
  w.field("keepalive_timeout", location.keepalive_timeout_ms);
  w.field("keepalive_header", location.keepalive_header_ms);
  w.field("keepalive_requests", location.keepalive_requests);
  w.field("server_tokens", location.server_tokens);
  w.field("nested", location.locations.size());
  for (const Location& nested : location.locations) describe(w, nested);
}

void describe(Writer& w, const Server& server) {
  for (const Listen& listen : server.listens) {
    w.field("listen", listen.address);
    w.field("listen.id", listen.id);
    w.field("backlog", listen.backlog);
    w.field("ipv6_only", listen.ipv6_only);
    w.field("default_server", listen.default_server);
    w.field("proxy_protocol", listen.proxy_protocol);
    w.field("owner_only", listen.owner_only);
    w.field("listen.http2", listen.http2);
  }
  for (size_t i = 0; i < server.names.size(); ++i) {
    w.field("name", server.names[i]);
    w.field("name_regex", server.name_regexes.at(i) ? server.name_regexes[i]->pattern() : "");
  }
  w.field("header_timeout", server.header_timeout_ms);
  w.field("tls_engine", server.tls_settings.movable);
  w.field("header_max", server.header_bytes_max);
  w.field("request_line_max", server.request_line_bytes_max);
  w.field("header_fields_max", server.header_fields_max);
  w.field("http2", server.http2);
  w.field("http2_streams_max", server.http2_streams_max);
  w.field("http2_window", server.http2_window_bytes);
  w.field("underscores_in_headers", server.underscores_in_headers);
  describe(w, server.fallback);
  for (const Location& location : server.locations) describe(w, location);
}

}  // namespace

std::string describe(const Location& location) {
  Writer w;
  describe(w, location);
  return w.text();
}

std::string describe(const Config& config) {
  Writer w;
  w.field("user", config.user);
  w.field("group", config.group);
  w.field("pid", config.pid_path);
  w.field("daemon", config.daemon);
  w.field("master_process", config.master_process);
  w.field("worker_processes", config.worker_processes);
  w.field("worker_rlimit_nofile", config.worker_rlimit_nofile);
  w.field("worker_shutdown_timeout", config.worker_shutdown_timeout_ms);
  w.field("worker_keeper", config.worker_keeper);
  w.field("worker_sandbox", config.worker_sandbox);
  w.field("master_keeper", config.master_keeper);
  w.field("upgrade_trial_ms", config.upgrade_trial_ms);
  w.field("worker_watchdog", config.worker_watchdog_ms);
  w.field("error_log", config.error_log_path);
  w.field("error_log_level", config.error_log_level);
  w.field("control", config.control_path);
  w.field("working_directory", config.working_directory);
  w.field("bus_queue", config.bus_queue_bytes);
  w.field("publication_max", config.publication_bytes_max);
  w.field("history_memory", config.history_bytes_max);
  w.field("worker_connections", config.worker_connections);
  w.field("connections_per_address", config.connections_per_address);
  for (const auto& [name, webhook] : config.http.webhooks) describe(w, *webhook);
  for (const auto& [name, app] : config.http.apps) describe(w, *app);
  for (const auto& rules : config.http.channels) describe(w, *rules);
  describe(w, rules_of(config.http, kUserChannelPrefix));
  for (const auto& [name, token] : config.http.tokens) describe(w, *token);
  for (const auto& [name, upstream] : config.http.upstreams) describe(w, *upstream);
  for (const Address& server : config.http.resolver.servers) w.field("resolver", server);
  w.field("resolver.valid", config.http.resolver.valid_ms);
  w.field("resolver.timeout", config.http.resolver.timeout_ms);
  w.field("resolver.ipv6", config.http.resolver.ipv6);
  w.field("memory_limit", config.memory_limit_bytes);
  for (const auto& [name, zone] : config.http.limit_zones) describe(w, *zone);
  for (const auto& [name, map] : config.http.maps) {
    w.field("map", name);
    w.field("map.source", map->source);
    w.field("map.hostnames", map->hostnames);
    w.field("map.fallback", map->fallback);
    w.field("map.values", map->values().size());
  }
  for (const LineServer& line : config.lines) describe(w, line);
  for (const Server& server : config.http.servers) describe(w, server);
  return w.text();
}

}  // namespace beamgate::config
