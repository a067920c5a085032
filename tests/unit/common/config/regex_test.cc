// Shows that patterns match with their groups, that wrong ones say where, and that no subject can make one
// run on.
#include "common/config/regex.h"

#include <gtest/gtest.h>

namespace beamgate::config {
namespace {

std::shared_ptr<const Regex> must_compile(std::string_view pattern, bool ignore_case = false) {
  Regex::CompileError error;
  auto regex = Regex::compile(pattern, ignore_case, error);
  EXPECT_NE(regex, nullptr) << error.text;
  return regex;
}

TEST(Regex, FindsGroupsByNumberAndName) {
  const auto regex = must_compile("^/room/(?<name>[a-z]+)(/(\\d+))?$");
  Captures captures;
  const std::string subject = "/room/lobby/42";
  ASSERT_TRUE(regex->match(subject, &captures).value());
  EXPECT_EQ(captures.size(), 4u);
  EXPECT_EQ(captures.at(0), subject);
  EXPECT_EQ(captures.at(1), "lobby");
  EXPECT_EQ(captures.at(3), "42");
  EXPECT_EQ(captures.at(9), "");
  std::string_view value;
  EXPECT_TRUE(captures.find("name", value));
  EXPECT_EQ(value, "lobby");
  EXPECT_TRUE(captures.find("3", value));
  EXPECT_EQ(value, "42");
  EXPECT_FALSE(captures.find("4", value));
  EXPECT_FALSE(captures.find("other", value));
}

TEST(Regex, AGroupThatTookNoPartIsEmpty) {
  const auto regex = must_compile("a(b)?(c)?");
  Captures captures;
  ASSERT_TRUE(regex->match("ac", &captures).value());
  EXPECT_EQ(captures.at(1), "");
  EXPECT_EQ(captures.at(2), "c");
}

TEST(Regex, CaseMattersUnlessToldOtherwise) {
  EXPECT_FALSE(must_compile("\\.PHP$")->match("/x.php").value());
  EXPECT_TRUE(must_compile("\\.PHP$", true)->match("/x.php").value());
}

TEST(Regex, EmptySubjectsAndPatternsAreFine) {
  EXPECT_TRUE(must_compile("^$")->match({}).value());
  EXPECT_TRUE(must_compile("")->match("x").value());
  EXPECT_FALSE(must_compile("x")->match({}).value());
  EXPECT_TRUE(must_compile("\\x00")->match(std::string_view("a\0b", 3)).value());
}

TEST(Regex, AWrongPatternSaysWhyAndWhere) {
  Regex::CompileError error;
  EXPECT_EQ(Regex::compile("a(b", false, error), nullptr);
  EXPECT_EQ(error.offset, 3u);
  EXPECT_NE(error.text, "");
  EXPECT_EQ(Regex::compile(std::string(Regex::kPatternBytesMax + 1, 'a'), false, error), nullptr);
  EXPECT_EQ(error.offset, Regex::kPatternBytesMax);
}

TEST(Regex, AnExplodingMatchIsGivenUp) {
  const auto regex = must_compile("^(a+)+$");
  EXPECT_TRUE(regex->match(std::string(20, 'a')).value());
  const Result<bool> result = regex->match(std::string(40, 'a') + "b");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::LimitReached);
}

TEST(Regex, CapturesOfNoMatchAreEmpty) {
  const Captures captures;
  std::string_view value;
  EXPECT_EQ(captures.size(), 0u);
  EXPECT_FALSE(captures.find("1", value));
}

}  // namespace
}  // namespace beamgate::config
