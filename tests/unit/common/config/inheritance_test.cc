// Shows that settings flow from http to server to location as in nginx, whatever the order they stand in, and
// that lists are inherited as a whole or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/load.h"

namespace beamgate::config {
namespace {

using ::testing::ElementsAre;

std::shared_ptr<const Config> load_checked(std::string_view text) {
  const LoadResult result = load_text(text);
  EXPECT_TRUE(result.ok()) << report(result);
  return result.config;
}

std::vector<std::string> texts(const std::vector<NameValue>& values) {
  std::vector<std::string> out;
  for (const NameValue& value : values) out.push_back(value.name + ":" + value.value.source());
  return out;
}

TEST(Inheritance, TheInnermostWordCounts) {
  const auto config = load_checked(R"(http {
    server { listen 1;
      location /a { }
      location /b { client_max_body_size 3m; location /b/c { } location /b/d { client_max_body_size 4m; } }
      client_max_body_size 2m;    # Behind the locations, yet theirs.
    }
    server { listen 2; location / { } }
    client_max_body_size 5m;
  })");
  const Server& first = config->http.servers[0];
  EXPECT_EQ(first.fallback.body_bytes_max, 2u << 20);
  EXPECT_EQ(first.locations[0].body_bytes_max, 2u << 20);
  EXPECT_EQ(first.locations[1].body_bytes_max, 3u << 20);
  EXPECT_EQ(first.locations[1].locations[0].body_bytes_max, 3u << 20);
  EXPECT_EQ(first.locations[1].locations[1].body_bytes_max, 4u << 20);
  const Server& second = config->http.servers[1];
  EXPECT_EQ(second.fallback.body_bytes_max, 5u << 20);
  EXPECT_EQ(second.locations[0].body_bytes_max, 5u << 20);
}

TEST(Inheritance, LimitsAndTrustAreReplacedAsAWhole) {
  const auto config = load_checked(R"(http {
    limit_req_zone $uri zone=r:8k rate=1r/s; limit_req_zone $uri zone=s:8k rate=120r/m; limit_conn_zone $uri zone=c:8k;
    limit_req zone=r; limit_req zone=s burst=3 delay=1; limit_conn c 5; set_real_ip_from ::1; set_real_ip_from 10.0.0.1;
    server { listen 1 proxy_protocol;
      location /a { }
      location /b { limit_req zone=s nodelay; set_real_ip_from unix:; }
    }
    server { listen 1; server_name x; }
  })");
  const auto& locations = config->http.servers[0].locations;
  ASSERT_EQ(locations[0].limits.requests.size(), 2u);
  EXPECT_EQ(locations[0].limits.requests[1].zone->rate_milli, 2'000u);
  EXPECT_EQ(locations[0].limits.requests[1].burst_milli, 3'000u);
  EXPECT_EQ(locations[0].limits.requests[1].delay_milli, 1'000u);
  EXPECT_EQ(locations[0].real_ip.trusted.size(), 2u);
  ASSERT_EQ(locations[1].limits.requests.size(), 1u);
  EXPECT_EQ(locations[1].limits.requests[0].delay_milli, RequestLimit::kNoDelay);
  EXPECT_EQ(locations[1].limits.connections.size(), 1u);
  EXPECT_EQ(locations[1].real_ip.trusted.size(), 1u);
  EXPECT_TRUE(config->http.servers[1].listens[0].proxy_protocol) << "they share a socket";
}

TEST(Inheritance, ListsAreReplacedAsAWhole) {
  const auto config = load_checked(R"(http {
    proxy_set_header A 1; proxy_set_header B 2; add_header X 1; allow 127.0.0.1; deny all;
    server { listen 1;
      location /a { }
      location /b { proxy_set_header C 3; proxy_set_header D 4; }
      location /c { add_header Y 2; add_header Z 3 always; }
      location /d { allow all; }
    }
  })");
  const auto& locations = config->http.servers[0].locations;
  EXPECT_THAT(texts(locations[0].proxy.set_headers), ElementsAre("A:1", "B:2"));
  EXPECT_THAT(texts(locations[0].add_headers), ElementsAre("X:1"));
  EXPECT_EQ(locations[0].access.size(), 2u);
  EXPECT_THAT(texts(locations[1].proxy.set_headers), ElementsAre("C:3", "D:4"));
  EXPECT_THAT(texts(locations[1].add_headers), ElementsAre("X:1"));
  EXPECT_THAT(texts(locations[2].add_headers), ElementsAre("Y:2", "Z:3"));
  EXPECT_FALSE(locations[2].add_headers[0].always);
  EXPECT_TRUE(locations[2].add_headers[1].always);
  ASSERT_EQ(locations[3].access.size(), 1u);
  EXPECT_TRUE(locations[3].access[0].allow && locations[3].access[0].all);
}

TEST(Inheritance, OtherLists) {
  const auto config = load_checked(R"(http {
    index a.html; index b.html; types { text/x x; } api_key 0123456789abcdef;
    websocket_subscribe all; websocket_origins https://A.example; websocket_subprotocols p q;
    server { listen 1;
      location /a { api; }
      location /b { index c.html; types { text/y y Z; } api; api_key fedcba9876543210; }
      location /c { websocket_subscribe one two; websocket_subscribe three; websocket_origins any;
                    websocket_subprotocols none; }
    }
  })");
  const auto& locations = config->http.servers[0].locations;
  EXPECT_THAT(locations[0].file.index, ElementsAre("a.html", "b.html"));
  EXPECT_EQ(locations[0].types, (std::map<std::string, std::string>{{"x", "text/x"}}));
  EXPECT_THAT(locations[0].api.keys, ElementsAre("0123456789abcdef"));
  EXPECT_THAT(locations[0].websocket.origins, ElementsAre("https://a.example"));
  EXPECT_THAT(locations[0].websocket.subprotocols, ElementsAre("p", "q"));
  EXPECT_THAT(locations[1].file.index, ElementsAre("c.html"));
  EXPECT_EQ(locations[1].types, (std::map<std::string, std::string>{{"y", "text/y"}, {"z", "text/y"}}));
  EXPECT_THAT(locations[1].api.keys, ElementsAre("fedcba9876543210"));
  ASSERT_EQ(locations[2].websocket.subscribe.size(), 3u);
  EXPECT_EQ(locations[2].websocket.subscribe[2].source(), "three");
  EXPECT_TRUE(locations[2].websocket.origins.empty());
  EXPECT_TRUE(locations[2].websocket.subprotocols.empty());
}

TEST(Inheritance, ParamsOfFastcgiAreInheritedWhereThereAreNone) {
  const auto config = load_checked(R"(http { fastcgi_param A 1; fastcgi_param B 2; server { listen 1;
    location /a { fastcgi_pass 127.0.0.1:9; location /a/b { } }
    location /c { fastcgi_pass 127.0.0.1:9; fastcgi_param C 3; }
  } })");
  const auto& locations = config->http.servers[0].locations;
  ASSERT_EQ(locations[0].fastcgi.params.size(), 2u);
  EXPECT_EQ(locations[0].fastcgi.params[1].name, "B");
  EXPECT_EQ(locations[0].locations[0].action, Action::None);
  EXPECT_EQ(locations[0].locations[0].fastcgi.upstream, nullptr);
  ASSERT_EQ(locations[1].fastcgi.params.size(), 1u);
  EXPECT_EQ(locations[1].fastcgi.params[0].name, "C");
  EXPECT_EQ(config->http.upstreams.size(), 1u);
}

TEST(Inheritance, ActionsStayWhereTheyAre) {
  const auto config = load_checked(R"(http { server { listen 1;
    location /a { proxy_pass http://127.0.0.1:9; location /a/b { } location /a/c { return 204; } }
    location /d { websocket echo; location /d/e { websocket raw; } }
  } })");
  const auto& locations = config->http.servers[0].locations;
  EXPECT_EQ(locations[0].action, Action::Proxy);
  EXPECT_EQ(locations[0].locations[0].action, Action::None);
  EXPECT_EQ(locations[0].locations[0].proxy.upstream, nullptr);
  EXPECT_TRUE(locations[0].locations[0].script.empty());
  ASSERT_EQ(locations[0].locations[1].script.size(), 1u);
  EXPECT_EQ(locations[0].locations[1].script[0].kind, Step::Kind::Return);
  EXPECT_EQ(locations[1].locations[0].websocket.mode, WebSocketAction::Mode::Raw);
}

TEST(Inheritance, FilesAreServedWhereNothingElseAnswers) {
  const auto config = load_checked(R"(http { root /srv; server { listen 1;
    location /a { }
    location /b { return 204; }
    location /c { alias /other; }
    location /d { root /own; }
    location /e/ { alias /x/; location /e/f/ { } location ~ /g$ { } location /e/h/ { root /y; } }
  } })");
  const Server& server = config->http.servers[0];
  EXPECT_EQ(server.fallback.action, Action::Static);
  EXPECT_EQ(server.locations[0].action, Action::Static);
  EXPECT_EQ(server.locations[0].file.root, "/srv");
  EXPECT_EQ(server.locations[1].script.size(), 1u);
  EXPECT_EQ(server.locations[2].file.alias, "/other");
  EXPECT_EQ(server.locations[2].file.root, "");
  EXPECT_EQ(server.locations[3].file.root, "/own");
  const Location& aliased = server.locations[4];
  EXPECT_EQ(aliased.locations[0].file.alias, "/x/f/");
  EXPECT_EQ(aliased.locations[1].action, Action::None);
  EXPECT_EQ(aliased.locations[2].file.root, "/y");
  EXPECT_EQ(aliased.locations[2].file.alias, "");
}

TEST(Inheritance, AServersScriptIsNotThatOfItsLocations) {
  const auto config = load_checked(
      "http { server { listen 1; return 301 https://$host$request_uri; location / { return 200; } } }");
  const Server& server = config->http.servers[0];
  ASSERT_EQ(server.fallback.script.size(), 1u);
  EXPECT_EQ(server.fallback.script[0].answer.status, 301);
  ASSERT_EQ(server.locations.at(0).script.size(), 1u);
  EXPECT_EQ(server.locations[0].script[0].answer.status, 200);
}

TEST(Inheritance, AWebhookIsInheritedAndTakenBack) {
  const auto config = load_checked(R"(http { server { listen 1; webhook w;
    location /a { websocket raw; }
    location /b { websocket raw; webhook off; } }
    webhook w { url http://h/; secret 0123456789abcdef; }
  })");
  const auto& locations = config->http.servers[0].locations;
  ASSERT_NE(locations[0].websocket.webhook, nullptr);
  EXPECT_EQ(locations[0].websocket.webhook, config->http.webhooks.at("w"));
  EXPECT_EQ(locations[1].websocket.webhook, nullptr);
}

TEST(Inheritance, ServerLimits) {
  const auto config = load_checked(R"(http { client_header_timeout 5s; large_client_header_buffers 2 4k;
    server { listen 1; client_header_fields_max 7; }
    server { listen 2; client_header_timeout 6s; large_client_header_buffers 8 16k; }
  })");
  EXPECT_EQ(config->http.servers[0].header_timeout_ms, 5'000);
  EXPECT_EQ(config->http.servers[0].header_bytes_max, 8u << 10);
  EXPECT_EQ(config->http.servers[0].request_line_bytes_max, 4u << 10);
  EXPECT_EQ(config->http.servers[0].header_fields_max, 7u);
  EXPECT_EQ(config->http.servers[1].header_timeout_ms, 6'000);
  EXPECT_EQ(config->http.servers[1].header_bytes_max, 128u << 10);
  EXPECT_EQ(config->http.servers[1].header_fields_max, 100u);
}

}  // namespace
}  // namespace beamgate::config
