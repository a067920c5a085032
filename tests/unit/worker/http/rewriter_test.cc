// Scripts ("set", "rewrite", "return", "break", "if") change a request as nginx documents it; maps; try_files.
#include "worker/http/rewriter.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/worker/http/layer_fixture.h"
#include "worker/http/try_files.h"

namespace beamgate::http {
namespace {

namespace fs = std::filesystem;
using Next = Direction::Next;

class RewriterTest : public testing::Test {
 protected:
  RewriterTest() {
    request_.method = "GET";
    request_.host = "example.org";
  }

  // Runs the script of a server for "/path?args".
  Direction run(const std::string& script, std::string_view uri, const std::string& http = "") {
    request_.config = config_of(http + " server { listen 127.0.0.1:1; " + script + " }");
    request_.server = &request_.config->http.servers.at(0);
    request_.location = &request_.server->fallback;
    request_.captures.clear();
    EXPECT_TRUE(go_to(uri, request_));
    request_.rewritten = false;
    return run_script(request_.location->script, request_, record_);
  }
  std::string after(const std::string& script, std::string_view uri) {
    const Direction direction = run(script, uri);
    std::string out = request_.path;
    if (!request_.query.empty()) out += "?" + request_.query;
    if (direction.next == Next::Search) out += " search";
    if (direction.next == Next::Redirect) out = std::to_string(direction.status) + " " + direction.location;
    if (direction.next == Next::Answer) out = "return " + std::to_string(direction.answer->status);
    if (direction.next == Next::Failed) out = "failed";
    return out;
  }
  std::string value(const std::string& script, std::string_view uri, const std::string& http = "") {
    run(script, uri, http);
    std::string error;
    std::string out;
    config::Template text;
    EXPECT_TRUE(config::Template::parse("$v", text, error));
    expand(text, request_, record_, out);
    return out;
  }

  Request request_;
  record::Record record_;
};

TEST_F(RewriterTest, Rewrites) {
  const struct {
    const char* script;
    const char* uri;
    const char* outcome;
  } rows[] = {
      {"rewrite ^/a/(.*)$ /b/$1;", "/a/x", "/b/x search"},
      {"rewrite ^/a/(.*)$ /b/$1;", "/c", "/c"},
      {"rewrite ^/a/(.*)$ /b/$1 last;", "/a/x?q=1", "/b/x?q=1 search"},
      {"rewrite ^/a/(.*)$ /b/$1 break;", "/a/x?q=1", "/b/x?q=1"},
      {"rewrite ^/a /b?x=y;", "/a?q=1", "/b?x=y&q=1 search"},
      {"rewrite ^/a /b?;", "/a?q=1", "/b search"},
      {"rewrite ^/a /b?x=y?;", "/a?q=1", "/b?x=y search"},
      {"rewrite ^/a/(?<name>.*)$ /b?n=$name?;", "/a/x&y z", "/b?n=x%26y%20z search"},  // What is an argument is encoded,
      {"rewrite ^/a/(.*)$ /b/$1?;", "/a/x&y z", "/b/x&y z search"},                    // a path is not.
      {"rewrite ^/a(.*) /b$1 redirect;", "/a/x y?q", "302 /b/x%20y?q"},
      {"rewrite ^/a /b permanent;", "/a", "301 /b"},
      {"rewrite ^ https://other.test$request_uri? permanent;", "/a", "301 https://other.test/asked?for%20"},
      {"rewrite ^/(.*) $scheme://other.test/$1;", "/a", "302 http://other.test/a"},
      {"rewrite ^/a /b; rewrite ^/b /c;", "/a", "/c search"},
      {"rewrite ^/a /b last; rewrite ^/b /c;", "/a", "/b search"},
      {"rewrite ^/a /b break; rewrite ^/b /c;", "/a", "/b"},
      {"rewrite ^/a /b; break; rewrite ^/b /c;", "/a", "/b"},
      {"return 403; rewrite ^ /x;", "/a", "return 403"},
      {"rewrite ^/a b;", "/a", "failed"},
      {"rewrite ^(/(a+)+)$ /x;", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "failed"},
  };
  request_.target = "/asked?for%20";
  for (const auto& row : rows) EXPECT_EQ(after(row.script, row.uri), row.outcome) << row.script << ' ' << row.uri;
}

TEST_F(RewriterTest, Conditions) {
  request_.fields = {{"X-A", "Yes"}};
  const struct {
    const char* condition;
    bool holds;
  } rows[] = {
      {"($http_x_a)", true},           {"($http_x_b)", false},           {"($arg_zero)", false},
      {"($arg_one)", true},            {"($http_x_a = Yes)", true},      {"($http_x_a = yes)", false},
      {"($http_x_a != yes)", true},    {"( $http_x_a = Yes )", true},    {"($http_x_a ~ ^Y)", true},
      {"($http_x_a ~ ^y)", false},     {"($http_x_a ~* ^y)", true},      {"($http_x_a !~ ^Y)", false},
      {"($http_x_a !~* ^n)", true},    {"(-d /)", true},                 {"(-f /)", false},
      {"(!-f /)", true},               {"(-e /)", true},                 {"(-e /none/$http_x_a)", false},
      {"(!-d /none)", true},           {"(-x /bin/sh)", true},           {"(!-x /bin/sh)", false},
      {"($http_x_b = \"\")", true},    {"($request_method = GET)", true},
  };
  for (const auto& row : rows) {
    const std::string script = std::string("if ") + row.condition + " { return 204; }";
    EXPECT_EQ(after(script, "/p?zero=0&one=1"), row.holds ? "return 204" : "/p?zero=0&one=1") << row.condition;
  }
}

TEST_F(RewriterTest, TheOrderIsThatOfWriting) {
  EXPECT_EQ(value("set $v a; if ($uri) { set $v b$v; } set $v c$v;", "/"), "cba");
  EXPECT_EQ(after("if ($uri ~ ^/(?<one>.)) { rewrite ^ /$one/$1? break; } rewrite ^ /never;", "/xyz"), "/x/x");
  EXPECT_EQ(after("set $args a=b; rewrite ^/x /y;", "/x?c"), "/y?a=b search");
}

TEST_F(RewriterTest, AnIfWithSettingsIsALocation) {
  run("if ($arg_x) { set $v 1; }", "/?x=1");
  EXPECT_EQ(request_.location, &request_.server->fallback);
  const Direction direction = run("location / { if ($arg_x) { add_header X y; } if ($arg_y) { limit_rate 5k; } }", "/?x=1");
  EXPECT_EQ(direction.next, Next::Go);
  request_.location = &request_.server->locations.at(0);
  run_script(request_.location->script, request_, record_);
  EXPECT_EQ(request_.location->add_headers.size(), 1u);
  EXPECT_EQ(request_.location->limits.rate_bytes, 0u);
  EXPECT_EQ(request_.location->id, request_.server->locations[0].id);
}

TEST_F(RewriterTest, Maps) {
  const std::string maps = R"(
      map $host$uri $v { default no; example.org/a one; "~^(?<h>[a-z]+)\.org/(.)(.)$" "$h-$2-$3"; ~*/UP.$ $w; }
      map $arg_x $w { "" none; \default literal; default $arg_x; })";
  EXPECT_EQ(value("", "/a", maps), "one");
  EXPECT_EQ(value("", "/xy", maps), "example-x-y");
  EXPECT_EQ(value("", "/upx", maps), "none");
  EXPECT_EQ(value("", "/upx?x=default", maps), "literal");
  EXPECT_EQ(value("", "/upx?x=7", maps), "7");
  EXPECT_EQ(value("", "/else", maps), "no");
  const std::string hosts = "map $arg_h $v { hostnames; .a.test both; *.b.test head; x.* tail; x.b.test exact; }";
  EXPECT_EQ(value("", "/?h=a.test", hosts), "both");
  EXPECT_EQ(value("", "/?h=W.A.Test.", hosts), "both");
  EXPECT_EQ(value("", "/?h=y.b.test", hosts), "head");
  EXPECT_EQ(value("", "/?h=x.b.test", hosts), "exact");
  EXPECT_EQ(value("", "/?h=x.c", hosts), "tail");
  EXPECT_EQ(value("", "/?h=b.test", hosts), "");
}

TEST_F(RewriterTest, TryFiles) {
  std::string name = (fs::temp_directory_path() / "beamgate-try-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  fs::create_directories(name + "/root/dir");
  std::ofstream(name + "/root/file") << "x";
  std::ofstream(name + "/outside") << "x";
  const auto tried = [&](const std::string& files, std::string_view uri, const std::string& place = "") {
    run("location / { root " + name + "/root; " + files + " } location /al/ { alias " + name + "/root/; " + files + " }", uri);
    request_.location = &request_.server->locations.at(place.empty() ? 0 : 1);
    const TryOutcome out = try_files(request_.location->try_files, request_, record_);
    if (out.found) return request_.path;
    return out.status != 0 ? std::to_string(out.status) : "-> " + out.elsewhere;
  };
  EXPECT_EQ(tried("try_files $uri $uri/ /index.php?$args;", "/file?a=b"), "/file");
  EXPECT_EQ(tried("try_files $uri $uri/ /index.php?$args;", "/dir?a=b"), "/dir");
  EXPECT_EQ(tried("try_files $uri $uri/ /index.php?$args;", "/dir/?a=b"), "/dir/");
  EXPECT_EQ(tried("try_files $uri =404;", "/dir/"), "404");
  EXPECT_EQ(tried("try_files $uri $uri/ /index.php?$args;", "/none?a=b"), "-> /index.php?a=b");
  EXPECT_EQ(tried("try_files $uri =404;", "/dir"), "404");  // A directory is no file.
  EXPECT_EQ(tried("try_files /../outside $uri @named;", "/none"), "-> @named");
  EXPECT_EQ(tried("try_files $uri =404;", "/al/file", "alias"), "/al/file");
  EXPECT_EQ(tried("try_files /file =404;", "/al/x", "alias"), "404");
  fs::remove_all(name);
}

}  // namespace
}  // namespace beamgate::http
