// What may be said of rewriting, maps, error pages and try_files; and what is refused, with its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/load.h"

namespace beamgate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string first_error(const std::string& text) {
  const LoadResult result = load_text(text, {}, "f");
  return result.errors.empty() ? "no error" : result.errors[0].text();
}
std::string in_http(const std::string& text) { return first_error("http {\n" + text + "\n}"); }
std::string in_server(const std::string& text) { return in_http("server { listen 1;\n" + text + "\n}"); }
std::string in_location(const std::string& text) { return in_server("location / {\n" + text + "\n}"); }

TEST(RewriteConfiguration, IsAccepted) {
  EXPECT_EQ(in_location("return 200; return 404; proxy_pass http://127.0.0.1:1;"), "no error");
  EXPECT_EQ(in_location("if ($x) { return 404; } set $x 1;"), "no error");  // Wherever it is set.
  EXPECT_EQ(in_location("if ($request_method = POST) { proxy_pass http://127.0.0.1:1; }"), "no error");
  EXPECT_EQ(in_server("location @a { return 200; } location / { error_page 404 = @a; }"), "no error");
  EXPECT_EQ(in_http("log_format x $m; map $n $m { default 1; } map $uri $n { /a b; }"), "no error");
  EXPECT_EQ(in_server("location ~ ^/(?<a>.) { } if ($uri ~ (?<b>.)) { set $c $b; }"), "no error");
}

TEST(RewriteConfiguration, IsRefusedWithItsPlace) {
  EXPECT_THAT(in_location("set x 1;"), HasSubstr("f:4:5: invalid value \"x\" in \"set\" directive: expected the name"));
  EXPECT_THAT(in_location("set $host 1;"), HasSubstr("this variable has its value from the request"));
  EXPECT_THAT(in_location("set $x $never;"), HasSubstr("unknown \"never\" variable"));
  EXPECT_THAT(in_location("rewrite ( /x;"), HasSubstr("f:4:9: invalid value"));
  EXPECT_THAT(in_location("rewrite ^ /x sometimes;"), HasSubstr("expected \"last\", \"break\", \"redirect\" or \"permanent\""));
  EXPECT_THAT(in_location("if $x { return 200; }"), HasSubstr("parentheses"));
  EXPECT_THAT(in_location("if (x) { return 200; }"), HasSubstr("invalid condition"));
  EXPECT_THAT(in_location("if ($uri == /) { return 200; }"), HasSubstr("expected =, !=, ~, ~*, !~ or !~*"));
  EXPECT_THAT(in_location("if (-q /x) { return 200; }"), HasSubstr("-f, -d, -e or -x"));
  EXPECT_THAT(in_location("if ($uri) { websocket echo; }"), HasSubstr("not allowed here, in if in location"));
  EXPECT_THAT(in_server("if ($uri) { proxy_pass http://127.0.0.1:1; }"), HasSubstr("not allowed here, in if in server"));
  EXPECT_THAT(in_location("if ($uri) { proxy_pass http://127.0.0.1:1/x; }"), HasSubstr("no URI part can stand here"));
  EXPECT_THAT(in_location("location @x { }"), HasSubstr("a named location belongs into a server"));
  EXPECT_THAT(in_location("error_page 200 /x;"), HasSubstr("expected a status from 300 to 599"));
  EXPECT_THAT(in_location("error_page =200 /x;"), HasSubstr("names no status"));
  EXPECT_THAT(in_location("error_page 404 =x /x;"), HasSubstr("after \"=\""));
  EXPECT_THAT(in_location("try_files $uri;"), HasSubstr("expected at least 2, found 1"));
  EXPECT_THAT(in_location("try_files $uri =1000;"), HasSubstr("after \"=\""));
  EXPECT_THAT(in_http("map $uri $v { /a b; /A c; }"), HasSubstr("conflicting entry \"/A\""));
  EXPECT_THAT(in_http("map $uri $v { /a b c; }"), HasSubstr("expected \"text value;\""));
  EXPECT_THAT(in_http("map $uri $v { default 1; default 2; }"), HasSubstr("duplicate default"));
  EXPECT_THAT(in_http("map $uri $v { ~( 2; }"), HasSubstr("f:2:15: "));
  EXPECT_THAT(in_http("map $uri $uri { }"), HasSubstr("has its value from the request"));
  EXPECT_THAT(in_http("map $a $b { default 1; } map $b $c { x $a; } map $c $a { y $d; } map $c $d { }"),
              HasSubstr("depends on itself"));
}

TEST(RewriteConfiguration, StepsStandInTheOrderWritten) {
  const LoadResult result = load_text(
      "http { server { listen 1; location / { set $a 1; if ($a) { break; return 204; } rewrite ^ /x; return 200; } } }");
  ASSERT_TRUE(result.ok()) << report(result);
  std::vector<Step::Kind> kinds;
  for (const Step& step : result.config->http.servers[0].locations[0].script) kinds.push_back(step.kind);
  EXPECT_THAT(kinds, ElementsAre(Step::Kind::Set, Step::Kind::If, Step::Kind::Rewrite, Step::Kind::Return));
}

}  // namespace
}  // namespace beamgate::config
