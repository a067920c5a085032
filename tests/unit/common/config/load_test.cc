// Shows that whole configurations become what they say, with the defaults of the table in all other fields,
// and that the canonical text means the same as what it was made from.
#include "common/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/regex.h"
#include "tests/unit/common/config/sample.h"

namespace beamgate::config {
namespace {

using ::testing::ElementsAre;

// The sample, read once by each test that looks at a part of it.
std::shared_ptr<const Config> sample() {
  LoadOptions options;
  options.prefix = "/p";
  const LoadResult result = load_text(kSample, options);
  EXPECT_TRUE(result.ok()) << report(result);
  return result.config;
}

const Location& location_of(const Config& config, std::string_view pattern) {
  static const Location kNone;
  for (const Location& location : config.http.servers.at(0).locations) {
    if (location.pattern == pattern) return location;
  }
  ADD_FAILURE() << pattern;
  return kNone;
}

TEST(Load, BuiltInConfigurationIsSoundAndComplete) {
  const LoadResult result = load_text(built_in_configuration());
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_TRUE(result.warnings.empty()) << report(result);
  const Config& config = *result.config;
  EXPECT_FALSE(config.daemon);
  EXPECT_EQ(config.pid_path, "");
  EXPECT_GE(config.worker_processes, 1u);
  ASSERT_EQ(config.http.servers.size(), 1u);
  const Server& server = config.http.servers[0];
  ASSERT_EQ(server.listens.size(), 2u);
  EXPECT_EQ(server.listens[0].address.text, "0.0.0.0:8080");
  EXPECT_EQ(server.listens[1].address.text, "[::]:8080");
  ASSERT_EQ(server.locations.size(), 6u);
  EXPECT_EQ(server.locations[0].action, Action::LivePage);
  EXPECT_EQ(server.locations[1].action, Action::WebSocket);
  EXPECT_EQ(server.locations[1].websocket.mode, WebSocketAction::Mode::Echo);
  const Location& hub = server.locations[2];
  EXPECT_EQ(hub.websocket.mode, WebSocketAction::Mode::Raw);
  EXPECT_EQ(hub.websocket.subscribe.at(0).source(), "$channel");
  EXPECT_EQ(hub.websocket.publish.source(), "$channel");
  Captures captures;
  EXPECT_TRUE(hub.regex->match("/hub/room.1", &captures).value());
  std::string_view channel;
  EXPECT_TRUE(captures.find("channel", channel));
  EXPECT_EQ(channel, "room.1");
  EXPECT_EQ(server.locations[5].action, Action::Api);
  EXPECT_EQ(server.locations[5].access.size(), 3u);
}

TEST(Load, MainAndEvents) {
  const auto config = sample();
  EXPECT_EQ(config->user, "root");
  EXPECT_EQ(config->group, "root");
  EXPECT_EQ(config->worker_processes, 3u);
  EXPECT_EQ(config->worker_rlimit_nofile, 4096u);
  EXPECT_EQ(config->worker_shutdown_timeout_ms, 10'000);
  EXPECT_EQ(config->error_log_path, "/p/logs/error.log");
  EXPECT_EQ(config->error_log_level, log::Level::Warn);
  EXPECT_EQ(config->pid_path, "/p/run/b.pid");
  EXPECT_FALSE(config->daemon);
  EXPECT_FALSE(config->master_process);
  EXPECT_EQ(config->working_directory, "/p/work");
  EXPECT_EQ(config->bus_queue_bytes, 2u << 20);
  EXPECT_EQ(config->publication_bytes_max, 32u << 10);
  EXPECT_EQ(config->worker_connections, 77u);
  EXPECT_EQ(config->connections_per_address, 5u);
}

TEST(Load, ErrorLogLevelIsErrorWhenOnlyAFileIsNamed) {
  EXPECT_EQ(load_text("error_log stderr;").config->error_log_level, log::Level::Error);
  EXPECT_EQ(load_text("").config->error_log_level, log::Level::Notice);
}

TEST(Load, Http) {
  const auto config = sample();
  EXPECT_EQ(config->http.servers[0].fallback.real_ip.trusted.size(), 2u);
  EXPECT_EQ(config->http.servers[0].fallback.real_ip.header, "X-Forwarded-For");
  const Server& server = config->http.servers.at(0);
  EXPECT_EQ(server.header_timeout_ms, 12'000);
  EXPECT_EQ(server.header_bytes_max, 12u << 10);
  EXPECT_EQ(server.request_line_bytes_max, 4u << 10);
  EXPECT_EQ(server.header_fields_max, 50u);
  const Location& all = server.fallback;
  ASSERT_EQ(all.access_logs.size(), 2u);
  EXPECT_EQ(all.access_logs[0].path, "/p/logs/access.log");
  EXPECT_EQ(all.access_logs[0].format.source(), "{\"uri\":\"$uri\",\"room\":\"$room\"}");
  EXPECT_EQ(all.access_logs[0].escape, AccessLog::Escape::Json);
  EXPECT_FALSE(all.access_logs[0].conditional);
  EXPECT_THAT(all.access_logs[1].path, testing::AnyOf(testing::HasSubstr("syslog:server=127.0.0.1:514,facility=local3"),
                                                      testing::HasSubstr("syslog:server=[::1]:514,facility=local3")));
  EXPECT_EQ(all.access_logs[1].condition.source(), "$arg_log");
  EXPECT_EQ(all.default_type, "application/octet-stream");
  EXPECT_EQ(all.body_bytes_max, 2u << 20);
  EXPECT_EQ(all.body_timeout_ms, 11'000);
  EXPECT_EQ(all.send_timeout_ms, 13'000);
  EXPECT_EQ(all.keepalive_timeout_ms, 14'000);
  EXPECT_EQ(all.keepalive_header_ms, 12'000);
  EXPECT_EQ(all.keepalive_requests, 15u);
  EXPECT_FALSE(all.server_tokens);
}

TEST(Load, ListensAndNames) {
  const auto config = sample();
  const Server& server = config->http.servers.at(0);
  ASSERT_GE(server.listens.size(), 4u);
  EXPECT_EQ(server.listens[0].address.text, "127.0.0.1:8081");
  EXPECT_TRUE(server.listens[0].default_server);
  EXPECT_EQ(server.listens[0].backlog, 100);
  EXPECT_EQ(server.listens[1].address.text, "[::1]:8081");
  EXPECT_FALSE(server.listens[1].ipv6_only);
  EXPECT_EQ(server.listens[2].address.text, "unix:/p/run/http.sock");
  EXPECT_THAT(server.names, ElementsAre("example.com", "*.example.com", "www.example.*",
                                        "~^(?<sub>.+)\\.example\\.org$", "example.net", "*.example.net"));
  EXPECT_NE(server.name_regexes.at(3), nullptr);
  EXPECT_EQ(server.name_regexes.at(4), nullptr);
  EXPECT_THAT(config->http.servers.at(1).names, ElementsAre(""));
}

TEST(Load, ServersAtOneAddressShareItsOptions) {
  const LoadResult result = load_text(
      "http { server { listen 1; } server { server_name b; listen 1 backlog=9; } server { server_name c; "
      "listen 1; } }");
  ASSERT_TRUE(result.ok()) << report(result);
  for (const Server& server : result.config->http.servers) EXPECT_EQ(server.listens[0].backlog, 9);
}

TEST(Load, Upstreams) {
  const auto config = sample();
  const Upstream& app = *config->http.upstreams.at("app");
  ASSERT_GE(app.servers.size(), 3u);
  EXPECT_EQ(app.servers.front().weight, 2u);
  EXPECT_TRUE(app.servers[app.servers.size() - 2].backup);
  EXPECT_EQ(app.servers[app.servers.size() - 2].address.text, "unix:/p/run/app.sock");
  EXPECT_TRUE(app.servers.back().down);
  EXPECT_EQ(app.servers.back().address.text, "127.0.0.1:80");
  EXPECT_EQ(app.keepalive, 7u);
  EXPECT_EQ(app.keepalive_timeout_ms, 8'000);
  EXPECT_EQ(app.keepalive_requests, 9u);
  EXPECT_TRUE(config->http.upstreams.contains("localhost:9100"));
  const UpstreamServer& first = app.servers.front();
  EXPECT_EQ(first.max_fails, 3u);
  EXPECT_EQ(first.fail_timeout_ms, 20'000);
  EXPECT_EQ(first.max_conns, 8u);
  EXPECT_EQ(first.slow_start_ms, 60'000);
  EXPECT_EQ(app.servers.back().max_fails, 1u);
  EXPECT_EQ(app.servers.back().fail_timeout_ms, 10'000);
}

TEST(Load, BalancingAndChecks) {
  using Method = Balancing::Method;
  const auto config = sample();
  const Upstream& ring = *config->http.upstreams.at("ring");
  EXPECT_EQ(ring.balancing.method, Method::Hash);
  EXPECT_EQ(ring.balancing.key.source(), "$request_uri");
  EXPECT_TRUE(ring.balancing.consistent);
  EXPECT_EQ(ring.servers.front().resolve, "localhost:9002");
  EXPECT_EQ(ring.servers.back().resolve, "");  // An address has nothing to resolve.
  EXPECT_TRUE(ring.health.on);
  EXPECT_EQ(ring.health.uri, "/up?x");
  EXPECT_EQ(ring.health.interval_ms, 2'000);
  EXPECT_EQ(ring.health.timeout_ms, 500);
  EXPECT_EQ(ring.health.fails, 3u);
  EXPECT_EQ(ring.health.passes, 2u);
  EXPECT_EQ(ring.health.status_min, 200);
  EXPECT_EQ(ring.health.status_max, 204);
  EXPECT_EQ(ring.health.port, 9009);
  EXPECT_EQ(config->http.upstreams.at("lot")->balancing.method, Method::Random);
  EXPECT_TRUE(config->http.upstreams.at("lot")->balancing.two);
  EXPECT_EQ(config->http.upstreams.at("few")->balancing.method, Method::LeastConn);
  EXPECT_EQ(config->http.upstreams.at("near")->balancing.method, Method::IpHash);
  EXPECT_EQ(config->http.upstreams.at("app")->balancing.method, Method::RoundRobin);
  const Resolver& resolver = config->http.resolver;
  ASSERT_EQ(resolver.servers.size(), 2u);
  EXPECT_EQ(resolver.servers[0].text, "127.0.0.1:5353");
  EXPECT_EQ(resolver.servers[1].text, "[::1]:53");
  EXPECT_EQ(resolver.valid_ms, 10'000);
  EXPECT_EQ(resolver.timeout_ms, 3'000);
  EXPECT_FALSE(resolver.ipv6);
}

TEST(Load, ANameToResolveNeedsNotBeKnownYet) {
  LoadOptions options;
  options.resolve_names = false;
  const LoadResult result = load_text("http { upstream u { server app.example:81 resolve; } }", options);
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_EQ(result.warnings.size(), 1u);
  const UpstreamServer& server = result.config->http.upstreams.at("u")->servers.at(0);
  EXPECT_EQ(server.address.length, 0u);
  EXPECT_EQ(server.resolve, "app.example:81");
  const LoadResult again = load_text(result.config->dump, options);
  ASSERT_TRUE(again.ok()) << report(again);
  EXPECT_EQ(again.config->http.upstreams.at("u")->servers.at(0).resolve, "app.example:81");
  EXPECT_FALSE(load_text("http { upstream u { server app.example:81; } }", options).ok());
}

TEST(Load, Proxies) {
  const auto config = sample();
  const ProxyAction& app = location_of(*config, "/app/").proxy;
  EXPECT_EQ(app.upstream, config->http.upstreams.at("app"));
  EXPECT_EQ(app.host, "app");
  EXPECT_TRUE(app.has_uri);
  EXPECT_EQ(app.uri, "/base/");
  ASSERT_EQ(app.set_headers.size(), 2u);
  EXPECT_TRUE(app.set_headers[1].value.empty());
  EXPECT_EQ(app.connect_timeout_ms, 1'000);
  EXPECT_EQ(app.send_timeout_ms, 2'000);
  EXPECT_EQ(app.read_timeout_ms, 3'000);
  EXPECT_EQ(app.buffer_bytes, 8u << 10);
  EXPECT_EQ(app.next_upstream, uint32_t{kNextError | kNext503 | kNextNonIdempotent});
  EXPECT_EQ(app.next_upstream_tries, 4u);
  EXPECT_EQ(app.next_upstream_timeout_ms, 5'000);
  EXPECT_EQ(app.http_minor, 0);
  EXPECT_TRUE(app.request_buffering);
  EXPECT_EQ(app.temp_path, "/p/run/bodies");
  EXPECT_TRUE(app.pass_trailers);
  EXPECT_EQ(app.hide_headers, (std::vector<std::string>{"X-A", "X-B"}));
  EXPECT_EQ(app.pass_headers, std::vector<std::string>{"Server"});
  ASSERT_EQ(app.redirects.size(), 2u);
  EXPECT_TRUE(app.redirects[0].standard);
  EXPECT_EQ(app.redirects[1].to.source(), "/$host/");
  EXPECT_EQ(app.cookie_domains.at(0).from.source(), "a.example");
  EXPECT_EQ(app.cookie_paths.at(0).to.source(), "/b");
  const ProxyAction& direct = location_of(*config, "/direct").proxy;
  EXPECT_EQ(direct.host, "localhost:9100");
  EXPECT_FALSE(direct.has_uri);
  EXPECT_EQ(direct.next_upstream, 0u);
  EXPECT_TRUE(direct.redirects.empty());
  const ProxyAction& socket = location_of(*config, "/socket").proxy;
  EXPECT_EQ(socket.host, "localhost");
  EXPECT_EQ(socket.uri, "/x");
  EXPECT_EQ(socket.upstream->servers.at(0).address.text, "unix:/p/run/app.sock");
}

TEST(Load, TheDefaultPortIsNoPartOfTheHost) {
  const auto config = load_text(
                          "http { server { listen 1; location /a { proxy_pass http://127.0.0.1:80/x?y; }"
                          " location /b { proxy_pass http://127.0.0.1?z; } } }")
                          .config;
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(location_of(*config, "/a").proxy.host, "127.0.0.1");
  EXPECT_EQ(location_of(*config, "/a").proxy.uri, "/x?y");
  EXPECT_EQ(location_of(*config, "/b").proxy.uri, "/?z");
}

TEST(Load, Webhooks) {
  const auto config = sample();
  const Webhook& hook = *config->http.webhooks.at("hook");
  EXPECT_EQ(hook.url, "https://example.com/hook?a=b");
  EXPECT_EQ(hook.unix_socket, "/p/run/hook.sock");
  EXPECT_THAT(hook.secrets, ElementsAre("0123456789abcdef", "plain ; text of secret"));
  EXPECT_EQ(hook.timeout_ms, 1'000);
  EXPECT_EQ(hook.connect_timeout_ms, 500);
  EXPECT_EQ(hook.concurrency, 2u);
  EXPECT_EQ(hook.queue, 3u);
  EXPECT_EQ(hook.connection_queue, 4u);
  EXPECT_EQ(hook.reply_bytes_max, 5u << 10);
  EXPECT_EQ(hook.batch_events_max, 6u);
  EXPECT_EQ(hook.batch_delay_ms, 7);
  EXPECT_EQ(hook.event_queue, 8u);
  EXPECT_EQ(hook.retry_delay_ms, 9);
  EXPECT_EQ(hook.retry_delay_max_ms, 10'000);
  EXPECT_EQ(hook.retry_time_ms, 660'000);
  EXPECT_EQ(hook.breaker_failures, 12u);
  EXPECT_EQ(hook.breaker_cooldown_ms, 13'000);
  EXPECT_EQ(hook.on_error, Webhook::OnError::Allow);
  EXPECT_FALSE(hook.tls_verify);
  EXPECT_EQ(hook.tls_ca.path, "/p/ca.pem");
  EXPECT_THAT(hook.forward_headers, ElementsAre("cookie", "x-tenant"));
}

// Nothing of what another proxy_pass around it says.
TEST(Load, EachProxyPassSaysAllAnew) {
  const LoadResult result = load_text(
      "http { upstream a { server 127.0.0.1:1; } upstream b { server 127.0.0.1:2; } server { listen 1;"
      " location /x { set $p a; proxy_pass https://$p/y$args; if ($arg_z) { proxy_pass http://b; } }"
      " location /u { proxy_pass https://a/v; location /u/w { proxy_pass https://$host; } } } }", {}, "f");
  ASSERT_TRUE(result.ok()) << report(result);
  const Server& server = result.config->http.servers[0];
  const Location& varied = server.locations[0];
  EXPECT_TRUE(varied.proxy.varies());
  ASSERT_EQ(varied.script.size(), 2u);
  const ProxyAction& inner = varied.script[1].location->proxy;
  EXPECT_FALSE(inner.varies());
  EXPECT_EQ(inner.upstream->name, "b");
  EXPECT_EQ(inner.tls, nullptr);
  const ProxyAction& below = server.locations[1].locations[0].proxy;
  EXPECT_EQ(below.host_template.source(), "$host");
  EXPECT_EQ(below.tls_host + below.host + below.uri, "");
  EXPECT_EQ(below.upstream, nullptr);
}

TEST(Load, WebSockets) {
  const auto config = sample();
  const Location& room = location_of(*config, "^/room/(?<room>[a-z]{1,5})$");
  const WebSocketAction& websocket = room.websocket;
  EXPECT_EQ(room.action, Action::WebSocket);
  EXPECT_EQ(room.match, LocationMatch::Regex);
  EXPECT_EQ(websocket.webhook, config->http.webhooks.at("hook"));
  ASSERT_EQ(websocket.subscribe.size(), 3u);
  EXPECT_EQ(websocket.subscribe[2].source(), "user.$arg_user");
  EXPECT_EQ(websocket.publish.source(), "room.$1");
  EXPECT_EQ(websocket.message_bytes_max, 1u << 10);
  EXPECT_EQ(websocket.send_queue_bytes, 2u << 10);
  EXPECT_EQ(websocket.slow_reader, WebSocketAction::SlowReader::DropOldest);
  EXPECT_EQ(websocket.ping_interval_ms, 1'000);
  EXPECT_EQ(websocket.idle_timeout_ms, 2'000);
  EXPECT_EQ(websocket.close_timeout_ms, 3'000);
  EXPECT_THAT(websocket.origins, ElementsAre("https://example.com", "https://*.example.com"));
  EXPECT_THAT(websocket.subprotocols, ElementsAre("chat.v1", "chat.v2"));
  EXPECT_TRUE(websocket.deflate);
  EXPECT_EQ(websocket.deflate_level, 3);
  EXPECT_EQ(websocket.deflate_bytes_min, 10u);
  EXPECT_EQ(websocket.deflate_server_window_bits, 10);
  EXPECT_EQ(websocket.deflate_client_window_bits, 11);
  EXPECT_FALSE(websocket.deflate_context_takeover);
  EXPECT_FALSE(location_of(*config, "/echo").websocket.deflate);
}

TEST(Load, OtherActions) {
  const auto config = sample();
  const Location& exact = location_of(*config, "/exact");
  ASSERT_EQ(exact.script.size(), 1u);
  EXPECT_EQ(exact.script[0].answer.status, 200);
  EXPECT_EQ(exact.script[0].answer.text.source(), "hello\n$remote_addr\ttab");
  EXPECT_EQ(exact.add_headers.at(0).value.source(), "a \"quoted\" value; {}");
  EXPECT_TRUE(exact.add_headers[0].always);
  const Location& files = location_of(*config, "/static/");
  EXPECT_EQ(files.action, Action::Static);
  EXPECT_EQ(files.match, LocationMatch::PrefixFinal);
  EXPECT_EQ(files.file.alias, "/p/files/");
  EXPECT_EQ(files.access.size(), 3u);
  const Location& nested = location_of(*config, "/files").locations.at(0);
  EXPECT_EQ(nested.match, LocationMatch::RegexNoCase);
  EXPECT_EQ(nested.file.root, "/p/www");
  EXPECT_TRUE(nested.access_logs.empty());
  EXPECT_THAT(location_of(*config, "/api").api.keys, ElementsAre("0123456789abcdef", "another ' key; here"));
  EXPECT_EQ(location_of(*config, "/status").action, Action::Status);
  EXPECT_EQ(location_of(*config, "/metrics").action, Action::Metrics);
  EXPECT_EQ(location_of(*config, "/").action, Action::LivePage);
}

TEST(Load, Returns) {
  const auto config = load_text(R"(http { server { listen 1;
    location /a { return 404; } location /b { return https://x/$1; } location /c { return 204 ""; }
    location =/d { return 307 /e; } location ~*^/f { return 200; } } })")
                          .config;
  ASSERT_NE(config, nullptr);
  const auto answer_of = [&](const char* pattern) { return location_of(*config, pattern).script.at(0).answer; };
  EXPECT_EQ(answer_of("/a").status, 404);
  EXPECT_FALSE(answer_of("/a").has_text);
  EXPECT_EQ(answer_of("/b").status, 302);
  EXPECT_EQ(answer_of("/b").text.source(), "https://x/$1");
  EXPECT_TRUE(answer_of("/c").has_text);
  EXPECT_EQ(location_of(*config, "/d").match, LocationMatch::Exact);  // The modifier may touch the pattern.
  EXPECT_EQ(location_of(*config, "^/f").match, LocationMatch::RegexNoCase);
}

TEST(Load, AnEmptyConfigurationServesNothing) {
  const LoadResult result = load_text("");
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.config->http.servers.empty());
}

// Ids lead a connection to its location in the next generation: they must not depend on order or neighbours.
TEST(Load, IdsDependOnlyOnWhatTheyName) {
  const std::string a =
      "server { listen 1; listen 2; server_name x y; location /a { } location ~ b { location ~ c { } } }";
  const std::string b = "server { listen 3; location /a { } }";
  const std::string a2 =
      "server { server_name y x; location ~ b { location ~ c { } location ~ d { } } location /a { return "
      "200; } "
      "listen 2; listen 1; location /z { } }";
  const auto one = load_text("http {" + a + b + "}").config;
  const auto two = load_text("http {" + b + a2 + "}").config;
  ASSERT_TRUE(one && two);
  const Server& before = one->http.servers[0];
  const Server& after = two->http.servers[1];
  EXPECT_EQ(before.fallback.id, after.fallback.id);
  EXPECT_EQ(before.locations[0].id, after.locations[1].id);
  EXPECT_EQ(before.locations[1].id, after.locations[0].id);
  EXPECT_EQ(before.locations[1].locations[0].id, after.locations[0].locations[0].id);
  EXPECT_EQ(before.listens[0].id, after.listens[1].id);
  EXPECT_NE(before.locations[0].id, one->http.servers[1].locations[0].id);
  EXPECT_NE(before.locations[0].id, before.locations[1].id);
  EXPECT_NE(before.locations[0].id, 0u);
}

TEST(Load, ShadowedServersStillHaveIdsOfTheirOwn) {
  const auto config =
      load_text("http { server { listen 1; location / { } } server { listen 1; location / { } } }").config;
  ASSERT_NE(config, nullptr);
  EXPECT_NE(config->http.servers[0].locations[0].id, config->http.servers[1].locations[0].id);
}

}  // namespace
}  // namespace beamgate::config
