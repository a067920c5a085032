// Phoenix frames: the vectors of phoenix.js's own serializer in both directions, and whatever isn't one of
// its frames.
#include "worker/proto/phoenix/frames.h"

#include <gtest/gtest.h>

#include "worker/proto/phoenix/message.h"

namespace beamgate::proto::phoenix {
namespace {

using namespace std::string_literals;

const std::string kPayload = "\xde\xad";

TEST(PhoenixFrames, BinaryVectorsOfPhoenixJs) {
  EXPECT_EQ(binary_push("\"1\"", "r:1", "pcm", kPayload),
            "\x00\x01\x03\x03"
            "1r:1pcm\xde\xad"s);
  EXPECT_EQ(binary_reply("\"1\"", "\"4\"", "r:1", Status::Ok, kPayload),
            "\x01\x01\x01\x03\x02"
            "14r:1ok\xde\xad"s);
  EXPECT_EQ(binary_broadcast("r:1", "pcm", kPayload), "\x02\x03\x03r:1pcm\xde\xad"s);
  const auto push = parse_message(true,
                                  "\x00\x01\x01\x03\x03"
                                  "14r:1pcm\xde\xad"s);
  ASSERT_TRUE(push.ok());
  EXPECT_EQ(push.value().join_ref, "\"1\"");
  EXPECT_EQ(push.value().ref, "\"4\"");
  EXPECT_EQ(push.value().topic, "r:1");
  EXPECT_EQ(push.value().event, "pcm");
  EXPECT_TRUE(push.value().binary);
  EXPECT_EQ(push.value().payload, kPayload);
}

TEST(PhoenixFrames, TextVectors) {
  EXPECT_EQ(text_reply("null", "\"9\"", "phoenix", Status::Ok, "{}"),
            R"([null,"9","phoenix","phx_reply",{"status":"ok","response":{}}])");
  EXPECT_EQ(text_reply("\"1\"", "\"1\"", "room:5", Status::Error, reason_json("unauthorized")),
            R"(["1","1","room:5","phx_reply",{"status":"error","response":{"reason":"unauthorized"}}])");
  EXPECT_EQ(text_broadcast("room:5", "say", R"({"t":"yo"})"), R"([null,null,"room:5","say",{"t":"yo"}])");
  EXPECT_EQ(text_frame("\"1\"", "\"1\"", "a\"b", kClose, "{}"), R"(["1","1","a\"b","phx_close",{}])");
}

TEST(PhoenixFrames, TextIsReadAsItCame) {
  const auto message =
      parse_message(false, R"( ["1", 4, "room:5", "say", {"n": 1.50, "z": [ ]}, "more", 7] )");
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value().join_ref, "\"1\"");
  EXPECT_EQ(message.value().ref, "4");  // A client that counts in numbers gets numbers back.
  EXPECT_EQ(message.value().payload, R"({"n":1.50,"z":[]})");
  EXPECT_FALSE(message.value().binary);
  EXPECT_EQ(parse_message(false, R"([null,null,"t","e",null])").value().join_ref, kNoRef);
}

TEST(PhoenixFrames, AnythingElseIsRefused) {
  for (const char* text :
       {"", "{}", "[]", R"(["1","1","t","e"])", R"(["1","1",5,"e",{}])", R"(["1","1","t",null,{}])",
        R"([true,"1","t","e",{}])", R"([["1"],"1","t","e",{}])", R"(["1","1","t","e",{}]x)",
        R"({"topic":"t","event":"e","payload":{},"ref":"1"})"}) {
    EXPECT_FALSE(parse_message(false, text).ok()) << text;
  }
  EXPECT_FALSE(parse_message(false, "[\"" + std::string(256, '1') + R"(","1","t","e",{}])").ok());
  const std::string whole =
      "\x00\x01\x01\x03\x03"
      "14r:1pcm"s;
  EXPECT_TRUE(parse_message(true, whole).ok());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_message(true, whole.substr(0, size)).ok()) << size;
  for (const char kind : {'\x01', '\x02', '\x03', '['}) {
    std::string other = whole;
    other[0] = kind;
    EXPECT_FALSE(parse_message(true, other).ok());
  }
  EXPECT_FALSE(parse_message(true,
                             "\x00\x00\x00\x01\x01\xff"
                             "e"s)
                   .ok());
}

TEST(PhoenixFrames, EmptyRefsOfBinaryFramesAreNone) {
  const auto push = parse_message(true, "\x00\x00\x00\x01\x01te"s);
  ASSERT_TRUE(push.ok());
  EXPECT_EQ(push.value().join_ref, kNoRef);
  EXPECT_EQ(push.value().ref, kNoRef);
  EXPECT_EQ(push.value().payload, "");
  EXPECT_EQ(binary_push(kNoRef, "t", "e", ""), "\x00\x00\x01\x01te"s);
  EXPECT_EQ(ref_text("7"), "7");
}

TEST(PhoenixFrames, BinaryAsText) {
  EXPECT_EQ(text_of_binary(binary_broadcast("r:1", "pcm", kPayload)),
            R"([null,null,"r:1","pcm",{"base64":"3q0="}])");
  EXPECT_EQ(text_of_binary(binary_push("\"1\"", "r:1", "pcm", kPayload)),
            R"(["1",null,"r:1","pcm",{"base64":"3q0="}])");
  EXPECT_EQ(text_of_binary(binary_reply("\"1\"", "\"4\"", "r:1", Status::Error, kPayload)),
            R"(["1","4","r:1","phx_reply",{"status":"error","response":{"base64":"3q0="}}])");
}

TEST(PhoenixFrames, WhatIsNoFrameIsNoText) {
  const std::string whole = binary_reply("\"1\"", "\"4\"", "r:1", Status::Ok, "");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(text_of_binary(whole.substr(0, size)), "") << size;
  EXPECT_EQ(text_of_binary("\x03\x01\x01te"), "");
  EXPECT_EQ(text_of_binary("\xff\x01\x01te"), "");
}

TEST(PhoenixFrames, ReservedEvents) {
  for (const char* event :
       {"phx_join", "phx_close", "phx_error", "phx_anything", "presence_diff", "presence_state"}) {
    EXPECT_TRUE(is_reserved(event)) << event;
  }
  for (const char* event : {"say", "heartbeat", "my_phx_join", ""}) EXPECT_FALSE(is_reserved(event)) << event;
}

}  // namespace
}  // namespace beamgate::proto::phoenix
