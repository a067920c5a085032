// JSON: what may be parsed and what may not, getters that never convert, and output that is always valid
// UTF-8.  Webhook replies, API requests and events all go through here, hostile ones included.
#include "common/json/value.h"

#include <gtest/gtest.h>

namespace beamgate::json {
namespace {

std::string round_trip(std::string_view text) {
  const auto value = parse(text);
  return value.ok() ? value.value().dump() : "refused";
}

TEST(Json, WhatPassesThroughKeepsOrderAndSpelling) {
  for (const char* text : {"null", "true", "-1", "18446744073709551615", "1.0", "1e3", "[]", "{}",
                           R"({"b":1,"a":[2,{"c":"x"}]})", "0.10000000000000000000001", R"("\u0001\n\"\\")"}) {
    EXPECT_EQ(round_trip(text), text);
  }
  EXPECT_EQ(round_trip(" { \"k\" : [ 1 , 2 ] } "), R"({"k":[1,2]})");
  EXPECT_EQ(round_trip(R"("\u00e4\ud83d\ude00\/")"), "\"\xc3\xa4\xf0\x9f\x98\x80/\"");
}

TEST(Json, WhatIsNotJsonIsRefused) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "// x\n1", "1 2", "'a'", "{a:1}", "NaN", "01", "+1",
                           "\"\xff\"", "\"\xc0\xaf\"", R"("\ud800")", "\xef\xbb\xbf{}", "\"a\nb\"", "tru"}) {
    const auto value = parse(text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().code, Code::Invalid) << text;
  }
}

TEST(Json, AZeroByteIsNoEnd) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"1\0"sv, "{}\0,\"a\":1"sv, "\"a\0b\""sv, "\0"sv}) EXPECT_FALSE(parse(text).ok());
}

TEST(Json, LimitsHoldForDepthCountAndSize) {
  const Limits limits{.bytes = 100, .depth = 3, .values = 5};
  EXPECT_TRUE(parse("[[[1]]]", limits).ok());
  EXPECT_EQ(parse("[[[[]]]]", limits).error().code, Code::LimitReached);
  EXPECT_TRUE(parse("[1,2,3,4]", limits).ok());
  EXPECT_EQ(parse("[1,2,3,4,5]", limits).error().code, Code::LimitReached);
  EXPECT_TRUE(parse("\"" + std::string(98, 'x') + "\"", limits).ok());
  EXPECT_EQ(parse("\"" + std::string(99, 'x') + "\"", limits).error().code, Code::LimitReached);
  EXPECT_EQ(parse(std::string(1 << 20, '[')).error().code, Code::LimitReached);
}

TEST(Json, GettersNeverConvert) {
  const auto parsed = parse(R"({"s":"1","i":-1,"u":7,"d":1.5,"t":true,"n":null,"a":[],"big":18446744073709551615})");
  ASSERT_TRUE(parsed.ok());
  const Value& value = parsed.value();
  EXPECT_EQ(value.get_string("s"), "1");
  EXPECT_FALSE(value.get_int("s"));
  EXPECT_EQ(value.get_int("i"), -1);
  EXPECT_FALSE(value.get_uint("i"));
  EXPECT_EQ(value.get_uint("u"), 7u);
  EXPECT_EQ(value.get_int("u"), 7);
  EXPECT_FALSE(value.get_int("d"));
  EXPECT_EQ(value.find("d")->as_double(), 1.5);
  EXPECT_FALSE(value.get_int("big"));
  EXPECT_EQ(value.get_bool("t"), true);
  EXPECT_FALSE(value.get_bool("n"));
  EXPECT_TRUE(value.has("n"));
  EXPECT_FALSE(value.has("missing"));
  EXPECT_NE(value.get_array("a"), nullptr);
  EXPECT_EQ(value.get_array("s"), nullptr);
  EXPECT_EQ(Value("text").find("s"), nullptr);
}

TEST(Json, OfARepeatedKeyTheLastCounts) {
  EXPECT_EQ(parse(R"({"a":1,"a":2})").value().get_int("a"), 2);
}

TEST(Json, Building) {
  Value value;
  value.set("a", 1).set("b", Value::array().push("x").push(nullptr)).set("a", true).set("c", 0.5).set("e", Value::object());
  EXPECT_EQ(value.dump(), R"({"a":true,"b":["x",null],"c":0.5,"e":{}})");
  EXPECT_EQ(Value(std::string_view("\0x", 2)).dump(), "\"\\u0000x\"");
}

TEST(Json, BytesThatAreNoUtf8AreReplaced) {
  for (const char* bad : {"\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc0\x80"}) {
    const std::string text = Value("a" + std::string(bad) + "z").dump();
    EXPECT_TRUE(parse(text).ok()) << text;
    EXPECT_NE(text.find("\xef\xbf\xbd"), std::string::npos);
    EXPECT_TRUE(text.ends_with("z\""));
  }
  EXPECT_EQ(Value("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80").dump(), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

}  // namespace
}  // namespace beamgate::json
