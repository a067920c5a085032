// Shows that variables are found where nginx finds them, and that a stray "$" is an error and not a literal.
#include "common/config/template.h"

#include <gtest/gtest.h>

#include "common/config/variables.h"

namespace beamgate::config {
namespace {

// Each variable as "[name]".
std::string expand(std::string_view text) {
  Template parsed;
  std::string error;
  if (!Template::parse(text, parsed, error)) return "error: " + error;
  std::string out;
  parsed.expand([](std::string_view name, std::string& to) { to += "[" + std::string(name) + "]"; }, out);
  EXPECT_EQ(parsed.source(), text);
  return out;
}

TEST(Template, FindsVariables) {
  EXPECT_EQ(expand(""), "");
  EXPECT_EQ(expand("plain"), "plain");
  EXPECT_EQ(expand("$uri"), "[uri]");
  EXPECT_EQ(expand("${uri}"), "[uri]");
  EXPECT_EQ(expand("a${uri}b$host-$1"), "a[uri]b[host]-[1]");
  EXPECT_EQ(expand("$http_x_y/$a$b"), "[http_x_y]/[a][b]");
  EXPECT_EQ(expand("$10"), "[1]0");
  EXPECT_EQ(expand("{a}"), "{a}");
}

TEST(Template, RefusesAStrayDollar) {
  EXPECT_EQ(expand("a$"), "error: invalid variable name at byte 2");
  EXPECT_EQ(expand("$ x"), "error: invalid variable name at byte 1");
  EXPECT_EQ(expand("$$"), "error: invalid variable name at byte 1");
  EXPECT_EQ(expand("${}"), "error: invalid variable name at byte 1");
  EXPECT_EQ(expand("${a"), "error: invalid variable name at byte 1");
  EXPECT_EQ(expand("ab${a-b}"), "error: invalid variable name at byte 3");
}

TEST(Template, KnowsWhenItIsConstant) {
  Template text;
  std::string error;
  EXPECT_TRUE(text.empty());
  ASSERT_TRUE(Template::parse("abc", text, error));
  EXPECT_TRUE(text.constant());
  ASSERT_TRUE(Template::parse("a$b", text, error));
  EXPECT_FALSE(text.constant());
  EXPECT_EQ(text.parts().size(), 2u);
}

TEST(Variables, KnownAndUnknown) {
  for (const char* name : {"uri", "remote_addr", "1", "9", "http_x", "arg_a", "cookie_c", "sent_http_etag",
                           "connection_id", "remote_user"}) {
    EXPECT_TRUE(is_known_variable(name)) << name;
  }
  for (const char* name : {"", "urj", "0", "10", "http_", "arg_", "cookie_", "sent_http_", "URI"}) {
    EXPECT_FALSE(is_known_variable(name)) << name;
  }
}

}  // namespace
}  // namespace beamgate::config
