// Shows that the table itself is sound: one row for each name and place, fallbacks that their own setters
// take and that are the model's defaults, and suggestions that help.
#include "common/config/directive.h"

#include <gtest/gtest.h>

#include <set>

#include "common/config/foreign_directives.h"
#include "common/config/load.h"
#include "tests/unit/common/config/describe.h"

namespace beamgate::config {
namespace {

TEST(Directive, NoTwoRowsClaimOneNameInOneScope) {
  std::set<std::pair<std::string_view, Scopes>> seen;
  for (const Area& area : areas()) {
    EXPECT_FALSE(area.rows.empty());
    for (const Directive& row : area.rows) {
      EXPECT_NE(row.set, nullptr) << row.name;
      for (Scopes scope = kMain; scope <= kWebhook; scope <<= 1) {
        if ((row.scopes & scope) == 0) continue;
        EXPECT_TRUE(seen.emplace(row.name, scope).second) << row.name << " in " << scope_names(scope);
        EXPECT_EQ(find_directive(row.name, scope), &row);
      }
    }
  }
}

TEST(Directive, NoneIsTakenForANotherProgramsOwn) {
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) EXPECT_EQ(find_foreign(row.name), nullptr) << row.name;
  }
}

TEST(Directive, BlocksAreEnteredAfterSettings) {
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      const bool entered = row.body == Body::Block && row.name != "types";
      EXPECT_TRUE(!entered || row.phase != Phase::Set) << row.name;
      EXPECT_TRUE(!row.secret || is_secret(row.name)) << row.name;
    }
  }
  EXPECT_FALSE(is_secret("listen"));
}

// The model's initial values are for those who make a Config by hand, in tests; the table is what users read.
TEST(Directive, FallbacksAreTheModelsDefaults) {
  const LoadResult result = load_text(
      "worker_processes 1; http { webhook a { url http://x/; secret 0123456789abcdef; }"
      " upstream u { server 127.0.0.1; } server { listen 1; types {} } }");
  ASSERT_TRUE(result.ok()) << report(result);
  Config expected;
  expected.worker_processes = 1;
  auto webhook = std::make_shared<Webhook>();
  webhook->name = "a";
  webhook->url = "http://x/";
  webhook->secrets = {"0123456789abcdef"};
  webhook->forward_headers = {"authorization", "cookie", "origin", "user-agent"};
  expected.http.webhooks["a"] = webhook;
  auto upstream = std::make_shared<Upstream>();
  upstream->name = "u";
  upstream->servers = result.config->http.upstreams.at("u")->servers;
  expected.http.upstreams["u"] = upstream;
  Server server;
  server.listens = result.config->http.servers[0].listens;
  server.names = {""};
  server.name_regexes = {nullptr};
  server.fallback.id = result.config->http.servers[0].fallback.id;
  expected.http.servers.push_back(server);
  EXPECT_EQ(describe(*result.config), describe(expected));
}

TEST(Directive, SuggestsWhatLooksAlike) {
  EXPECT_EQ(suggestion("lisen", kServer), "listen");
  EXPECT_EQ(suggestion("worker_process", kMain), "worker_processes");
  EXPECT_EQ(suggestion("proxy_passs", kLocation), "proxy_pass");
  EXPECT_EQ(suggestion("websocket_mesage_max", kHttp), "websocket_message_max");
  EXPECT_EQ(suggestion("keepalive_timout", kUpstream), "keepalive_timeout");
  EXPECT_EQ(suggestion("lsiten", kServer), "listen") << "letters that have changed places are one slip";
  EXPECT_EQ(suggestion("user_calim", kToken), "user_claim");
  EXPECT_EQ(suggestion("ssl_buffer_size", kServer), "") << "three slips are another word";
  EXPECT_EQ(suggestion("x", kMain), "");
  EXPECT_EQ(suggestion("something_else_entirely", kHttp), "");
  EXPECT_EQ(suggestion(std::string(10'000, 'a'), kHttp), "");
}

TEST(Directive, ScopesHaveNames) {
  EXPECT_EQ(scope_names(kMain), "main");
  EXPECT_EQ(scope_names(kHttp | kServer), "http or server");
  EXPECT_EQ(scope_names(kHttpServerLocation), "http, server or location");
  EXPECT_EQ(scope_names(kAnywhere), "any block");
}

}  // namespace
}  // namespace beamgate::config
