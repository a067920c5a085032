// Frames of the Pusher protocol, as clients send them and as they are told.
#include "worker/proto/pusher/frames.h"

#include <gtest/gtest.h>

namespace beamgate::pusher {
namespace {

TEST(PusherFrames, AClientsFrame) {
  const auto frame = parse_frame(R"({"event":"pusher:subscribe","data":{"channel":"a","auth":"k:s"}})");
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->event, "pusher:subscribe");
  EXPECT_EQ(frame->data.get_string("channel"), "a");
}

TEST(PusherFrames, DataInAStringIsTakenApartForTheProtocolsEventsOnly) {
  EXPECT_EQ(parse_frame(R"({"event":"pusher:subscribe","data":"{\"channel\":\"a\"}"})")->data.get_string("channel"), "a");
  EXPECT_EQ(parse_frame(R"({"event":"client-x","channel":"a","data":"{\"b\":1}"})")->data.as_string(), R"({"b":1})");
}

TEST(PusherFrames, WhatIsNone) {
  for (const std::string_view text : {"", "[]", "1", "{", "{}", R"({"event":""})", R"({"event":1})"}) {
    EXPECT_FALSE(parse_frame(text).has_value()) << text;
  }
}

TEST(PusherFrames, Established) {
  EXPECT_EQ(established_frame("7001.42", 120),
            R"({"event":"pusher:connection_established","data":"{\"socket_id\":\"7001.42\",\"activity_timeout\":120}"})");
}

TEST(PusherFrames, Errors) {
  EXPECT_EQ(error_frame(4301, "too fast"), R"({"event":"pusher:error","data":{"message":"too fast","code":4301}})");
  EXPECT_EQ(subscription_error_frame("private-a", "AuthError", "no", 401),
            R"({"event":"pusher:subscription_error","channel":"private-a",)"
            R"("data":{"type":"AuthError","error":"no","status":401}})");
}

TEST(PusherFrames, PublicationsKeepTheirBytes) {
  ipc::Origin origin;
  origin.event = "tick";
  EXPECT_EQ(publication_frame("news", ipc::PayloadKind::Json, R"({"n": 1})", origin),
            R"({"event":"tick","channel":"news","data":"{\"n\": 1}"})");
  EXPECT_EQ(publication_frame("news", ipc::PayloadKind::Text, "hello", {}),
            R"({"event":"message","channel":"news","data":"hello"})");
  EXPECT_EQ(publication_frame("news", ipc::PayloadKind::Binary, std::string_view("\x01\x02\x03"), {}),
            R"({"event":"message","channel":"news","data":"AQID"})");
}

TEST(PusherFrames, OnlyClientEventsOfPresenceChannelsNameTheirUser) {
  ipc::Origin origin;
  origin.event = "client-x";
  origin.user = "u-7";
  EXPECT_EQ(publication_frame("presence-a", ipc::PayloadKind::Text, "1", origin),
            R"({"event":"client-x","channel":"presence-a","data":"1","user_id":"u-7"})");
  EXPECT_EQ(publication_frame("private-a", ipc::PayloadKind::Text, "1", origin),
            R"({"event":"client-x","channel":"private-a","data":"1"})");
}

TEST(PusherFrames, NobodyElseSpeaksForTheServer) {
  ipc::Origin origin;
  for (const std::string_view event : {"pusher:error", "pusher_internal:member_removed"}) {
    origin.event = event;
    EXPECT_EQ(publication_frame("a", ipc::PayloadKind::Text, "1", origin), "");
  }
}

TEST(PusherFrames, AUserIsOneMemberHoweverManyConnections) {
  std::vector<ipc::Member> members(3);
  members[0].user = "u-7", members[0].info = R"({"nick":"Ada"})";
  members[1].user = "u-9";
  members[2].user = "u-7", members[2].info = R"({"nick":"Ada2"})";
  EXPECT_EQ(presence_data(2, true, members),
            R"({"presence":{"count":2,"ids":["u-7","u-9"],"hash":{"u-7":{"nick":"Ada"},"u-9":null}}})");
  EXPECT_EQ(presence_data(5000, false, {}), R"({"presence":{"count":5000,"ids":[],"hash":{}}})");
}

TEST(PusherFrames, ComingAndGoing) {
  EXPECT_EQ(member_added_data("u\"7", R"({"a":1})"), R"({"user_id":"u\"7","user_info":{"a":1}})");
  EXPECT_EQ(member_added_data("u", {}), R"({"user_id":"u","user_info":null})");
  EXPECT_EQ(member_removed_data("u"), R"({"user_id":"u"})");
}

}  // namespace
}  // namespace beamgate::pusher
