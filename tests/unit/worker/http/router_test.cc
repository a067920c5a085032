// Servers and locations are chosen as nginx documents it.
#include "worker/http/router.h"

#include <gtest/gtest.h>

#include "common/config/load.h"
#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

struct Routed {
  uint16_t status = 0;
  std::string name;     // The server's first name.
  std::string pattern;  // The location's.
  std::vector<std::pair<std::string, std::string>> captures;
};

Routed route(const Router& router, std::string_view host, std::string_view path, size_t listen = 0) {
  Request request;
  request.host = host;
  request.path = path;
  Routed out;
  router.route_to_server(router.config()->http.servers[0].listens[listen].id, request);
  out.status = Router::route_to_location(request);
  out.name = request.server->names.empty() ? "" : request.server->names[0];
  out.pattern = request.location->pattern;
  out.captures = request.captures;
  return out;
}

TEST(Router, ServerNames) {
  const Router router(config_of(R"(
    server { listen 127.0.0.1:1; server_name first; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name www.example.org exact.example.org; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name *.example.org; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name *.deep.example.org; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name www.example.*; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name www.*; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name ~^(?<user>[a-z]+)\.users\.test$; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name ~users\.test$; location / { return 200; } }
    server { listen 127.0.0.1:1; server_name .dotted.test; location / { return 200; } }
  )"));
  const struct {
    const char* host;
    const char* name;
  } rows[] = {
      {"www.example.org", "www.example.org"},
      {"exact.example.org", "www.example.org"},
      {"other.example.org", "*.example.org"},
      {"a.b.example.org", "*.example.org"},
      {"a.deep.example.org", "*.deep.example.org"},
      {"deep.example.org", "*.example.org"},
      {"example.org", "first"},
      {"www.example.com", "www.example.*"},
      {"www.example.co.uk", "www.example.*"},
      {"www.other.net", "www.*"},
      {"www", "first"},
      {"tom.users.test", "~^(?<user>[a-z]+)\\.users\\.test$"},
      {"tom7.users.test", "~users\\.test$"},
      {"unknown", "first"},
      {"", "first"},
      {"dotted.test", "dotted.test"},
      {"a.dotted.test", "dotted.test"},
  };
  for (const auto& row : rows) EXPECT_EQ(route(router, row.host, "/").name, row.name) << row.host;
  const Routed tom = route(router, "tom.users.test", "/");
  EXPECT_EQ(tom.captures.back(), (std::pair<std::string, std::string>{"user", "tom"}));
}

TEST(Router, TheListenAddressComesFirst) {
  const Router router(config_of(R"(
    server { listen 127.0.0.1:1; listen 127.0.0.1:2; server_name one; location / { return 200; } }
    server { listen 127.0.0.1:2 default_server; server_name two; location / { return 200; } }
  )"));
  EXPECT_EQ(route(router, "two", "/", 0).name, "one");
  EXPECT_EQ(route(router, "two", "/", 1).name, "two");
  EXPECT_EQ(route(router, "x", "/", 1).name, "two");
  EXPECT_EQ(route(router, "one", "/", 1).name, "one");
  Request request;
  router.route_to_server(12345, request);
  EXPECT_EQ(Router::route_to_location(request), 0);
  EXPECT_NE(request.location, nullptr) << "an address of another generation is served, if only with 404";
}

// The example of nginx's documentation of "location", and what it leaves unsaid.
TEST(Router, Locations) {
  const Router router(config_of(R"(server { listen 127.0.0.1:1;
    location = / { return 200; }
    location / { return 200; }
    location /documents/ { return 200; }
    location ^~ /images/ { return 200; }
    location ~* \.(gif|jpg|jpeg)$ { return 200; }
    location ~ ^/case/[a-z]+$ { return 200; }
    location ~ ^/case/ { return 200; }
    location /doc { return 200; }
    location = /exact { return 200; }
  })"));
  const struct {
    const char* path;
    const char* pattern;
  } rows[] = {
      {"/", "/"},
      {"/index.html", "/"},
      {"/documents/document.html", "/documents/"},
      {"/images/1.gif", "/images/"},
      {"/documents/1.jpg", "\\.(gif|jpg|jpeg)$"},
      {"/documents/1.JPG", "\\.(gif|jpg|jpeg)$"},
      {"/documents", "/doc"},
      {"/docs", "/doc"},
      {"/Documents/", "/"},
      {"/case/abc", "^/case/[a-z]+$"},
      {"/case/ABC", "^/case/"},
      {"/exact", "/exact"},
      {"/exact/", "/"},
  };
  for (const auto& row : rows) EXPECT_EQ(route(router, "a", row.path).pattern, row.pattern) << row.path;
  EXPECT_EQ(route(router, "a", "/x.gif").captures[0], (std::pair<std::string, std::string>{"1", "gif"}));
}

TEST(Router, NestedLocations) {
  const Router router(config_of(R"(server { listen 127.0.0.1:1;
    location / { return 200; }
    location /a/ {
      return 200;
      location /a/b/ { return 200; }
      location = /a/exact { return 200; }
      location ~ \.in$ { return 200; }
    }
    location ^~ /c/ { return 200; location /c/d/ { return 200; } }
    location ~ \.(in|out)$ { return 200; }
  })"));
  const struct {
    const char* path;
    const char* pattern;
  } rows[] = {
      {"/a/x", "/a/"},         {"/a/b/x", "/a/b/"},       {"/a/exact", "/a/exact"},
      {"/a/x.in", "\\.in$"},   {"/a/b/x.in", "\\.in$"},   {"/a/x.out", "\\.(in|out)$"},
      {"/c/d/x.out", "/c/d/"}, {"/x.in", "\\.(in|out)$"}, {"/a/b/x.out", "\\.(in|out)$"},
  };
  for (const auto& row : rows) EXPECT_EQ(route(router, "a", row.path).pattern, row.pattern) << row.path;
}

TEST(Router, AProxiedLocationIsFoundWithoutItsSlash) {
  const Router router(config_of(R"(server { listen 127.0.0.1:1;
    location /app/ { proxy_pass http://127.0.0.1:2; }
    location /both/ { proxy_pass http://127.0.0.1:2; }
    location /php/ { fastcgi_pass 127.0.0.1:2; }
    location /both { return 200; }
    location /plain/ { return 200; }
  })"));
  EXPECT_EQ(route(router, "a", "/app").status, 301);
  EXPECT_EQ(route(router, "a", "/app/").status, 0);
  EXPECT_EQ(route(router, "a", "/php").status, 301);
  EXPECT_EQ(route(router, "a", "/both").status, 0);
  EXPECT_EQ(route(router, "a", "/both").pattern, "/both");
  EXPECT_EQ(route(router, "a", "/plain").status, 0);
}

TEST(Router, ARegexThatExplodesIsA500) {
  const Router router(config_of(
      "server { listen 127.0.0.1:1; location / { return 200; } location ~ ^/(a+)+$ { return 200; } }"));
  EXPECT_EQ(route(router, "a", "/" + std::string(60, 'a') + "!").status, 500);
  EXPECT_EQ(route(router, "a", "/aaa").status, 0);
}

}  // namespace
}  // namespace beamgate::http
