// Shows that the canonical text of a configuration means the same wherever it is read, and that what -T
// prints is what was read, without its secrets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "common/config/directive.h"
#include "common/config/lexer.h"
#include "common/config/load.h"
#include "tests/unit/common/config/describe.h"
#include "tests/unit/common/config/sample.h"

namespace beamgate::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LoadResult must_load(std::string_view text, const std::string& prefix = "/some/prefix") {
  LoadOptions options;
  options.prefix = prefix;
  LoadResult result = load_text(text, options, "sample.conf");
  EXPECT_TRUE(result.ok()) << report(result);
  return result;
}

TEST(RoundTrip, CanonicalTextMeansTheSame) {
  for (const std::string_view text : {kSample, built_in_configuration()}) {
    const auto first = must_load(text).config;
    ASSERT_TRUE(first);
    LoadOptions options;
    options.prefix = "/elsewhere";
    options.resolve_names = false;  // As a worker reads it.
    const LoadResult again = load_text(first->dump, options);
    ASSERT_TRUE(again.ok()) << report(again);
    const auto second = again.config;
    EXPECT_EQ(describe(*first), describe(*second));
    EXPECT_EQ(first->dump, second->dump);
  }
}

// A directive that the sample forgets would not be covered by anything here.
TEST(RoundTrip, TheSampleUsesEveryDirective) {
  std::set<std::string> used;
  Lexer lexer(kSample, 0);
  for (Token token = lexer.next(); token.kind != Token::Kind::End; token = lexer.next()) {
    ASSERT_NE(token.kind, Token::Kind::Error);
    used.insert(token.text);
  }
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) {
      if (row.name == "include") continue;  // Expanded; include_test.cc shows it.
      // They want files that match each other: integration/test_tls.py has them go through a reload.
      const std::string_view name(row.name);
      if (name == "embedded_file" || name.starts_with("ssl_") || name.starts_with("proxy_ssl_")) continue;
      EXPECT_TRUE(used.contains(std::string(row.name))) << row.name;
    }
  }
}

TEST(RoundTrip, PathsAndNamesAreResolvedOnce) {
  const std::string dump = must_load(kSample).config->dump;
  EXPECT_THAT(dump, HasSubstr("pid /some/prefix/run/b.pid;"));
  EXPECT_THAT(dump, HasSubstr("listen unix:/some/prefix/run/http.sock proxy_protocol;"));
  EXPECT_THAT(dump, HasSubstr("upstream localhost:9100 {"));
  EXPECT_THAT(dump, Not(HasSubstr("server localhost")));
  EXPECT_THAT(dump, Not(HasSubstr("listen localhost")));
}

TEST(RoundTrip, AServerWithoutListenKeepsThePortItGot) {
  const auto config = must_load("http { server { } }").config;
  EXPECT_THAT(config->dump, HasSubstr("listen 0.0.0.0:" + std::string(geteuid() == 0 ? "80" : "8000") + ";"));
}

TEST(Dump, MasksSecretsOnly) {
  const LoadResult result = must_load(kSample);
  const std::string masked = dump(result.sources, true);
  EXPECT_THAT(masked, HasSubstr("# configuration file sample.conf:\n"));
  EXPECT_THAT(masked, Not(HasSubstr("MDEyMzQ1Njc4OWFiY2RlZg")));
  EXPECT_THAT(masked, Not(HasSubstr("plain ; text")));
  EXPECT_THAT(masked, Not(HasSubstr("0123456789abcdef")));
  EXPECT_THAT(masked, Not(HasSubstr("another")));
  EXPECT_THAT(masked, HasSubstr("secret ********;\n        secret ********;"));
  EXPECT_THAT(masked, HasSubstr("api_key ********; api_key ********; }"));
  EXPECT_THAT(masked, HasSubstr("location = /exact { return 200 \"hello\\n$remote_addr\\ttab\"; }"));
  EXPECT_EQ(dump(result.sources, false), "# configuration file sample.conf:\n" + std::string(kSample) + "\n");
}

TEST(Dump, MasksWhatIsInUrlsAndHeaders) {
  const auto masked = [](const char* text) {
    const std::string out = dump({{"f", text}}, true);
    return out.substr(out.find('\n') + 1);
  };
  EXPECT_EQ(masked("url http://ann:pa@ss@app.example:80/x?a=b@c;"), "url http://********@app.example:80/x?a=b@c;\n");
  EXPECT_EQ(masked("proxy_pass \"https://ann@app/\";"), "proxy_pass \"https://********@app/\";\n");
  for (const char* open : {"proxy_pass http://app/@x;", "access_log syslog:server=a;", "location ~ ^/a://@ { return 200 a@b; }",
                           "proxy_set_header Authorization $http_authorization;", "proxy_set_header Host example.com;",
                           "map $http_cookie $a { default 1; }", "fastcgi_param SCRIPT_NAME $a/b;"}) {
    EXPECT_EQ(masked(open), std::string(open) + "\n");
  }
  EXPECT_EQ(masked("proxy_set_header  Authorization 'Basic eA==' ; x y;"), "proxy_set_header  Authorization ******** ; x y;\n");
  EXPECT_EQ(masked("proxy_set_header authorization \"Bearer $token\";"), "proxy_set_header authorization ********;\n");
  EXPECT_EQ(masked("fastcgi_param DB_PASSWORD x if_not_empty;"), "fastcgi_param DB_PASSWORD ******** if_not_empty;\n");
  EXPECT_EQ(masked("add_header Set-Cookie a=b always; api_key $k;"), "add_header Set-Cookie ******** always; api_key ********;\n");
}

TEST(Dump, KeepsBackWhatItCantRead) {
  const std::string masked = dump({{"f", "api_key 'unfinished"}}, true);
  EXPECT_THAT(masked, Not(HasSubstr("unfinished")));
}

}  // namespace
}  // namespace beamgate::config
