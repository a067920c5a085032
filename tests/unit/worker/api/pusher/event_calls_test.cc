// What a request to publish by Pusher's HTTP API says, and what is wrong with one that says nothing good.
#include "worker/api/pusher/event_calls.h"

#include <gtest/gtest.h>

#include "worker/api/pusher/pusher_api.h"

namespace beamgate::api::pusher {
namespace {

TEST(PusherEvents, OneEventForSeveralChannels) {
  const auto request = parse_event_request(
      R"({"name":"tick","channels":["a","private-b"],"data":"{\"n\": 1}","socket_id":"1.2","info":"user_count,x"})", 1000);
  ASSERT_EQ(request.refused.status, 0);
  ASSERT_EQ(request.events.size(), 2u);
  EXPECT_EQ(request.events[1].channel, "private-b");
  EXPECT_EQ(request.events[1].name, "tick");
  EXPECT_EQ(request.events[1].data->bytes, "{\"n\": 1}");
  EXPECT_EQ(request.events[0].data, request.events[1].data) << "all channels share it";
  EXPECT_EQ(request.events[1].except, uint64_t{1} << 32 | 2);
  EXPECT_TRUE(request.events[1].info.user_count);
  EXPECT_FALSE(request.events[1].info.cache);
}

TEST(PusherEvents, OlderAndLooserForms) {
  const auto request = parse_event_request(R"({"name":"tick","channel":"a","data":{"n":1},"socket_id":null})", 1000);
  ASSERT_EQ(request.events.size(), 1u);
  EXPECT_EQ(request.events[0].data->bytes, R"({"n":1})");
  EXPECT_EQ(request.events[0].except, 0u);
}

TEST(PusherEvents, DataIsJsonOrText) {
  const auto kind_of = [](std::string_view data) {
    const auto request = parse_event_request(R"({"name":"e","channel":"a","data":)" + std::string(data) + "}", 1000);
    return request.events.empty() ? ipc::PayloadKind::Binary : request.events[0].data->kind;
  };
  for (const char* json : {R"({"n":1})", "[1]", "7", "null", R"("{\"n\":1}")", R"("7")", R"("\"x\"")"}) {
    EXPECT_EQ(kind_of(json), ipc::PayloadKind::Json) << json;
  }
  for (const char* text : {R"("")", R"("x")", R"("{n:1}")", R"("{} {}")"}) {
    EXPECT_EQ(kind_of(text), ipc::PayloadKind::Text) << text;
  }
}

TEST(PusherEvents, WhatIsRefused) {
  const struct {
    uint16_t status;
    std::string body;
  } kCases[] = {
      {400, ""},
      {400, "[]"},
      {400, R"({"channel":"a","data":"1"})"},
      {400, R"({"name":"","channel":"a","data":"1"})"},
      {400, R"({"name":"e","data":"1"})"},
      {400, R"({"name":"e","channel":"a"})"},
      {400, R"({"name":"e","channel":"a b","data":"1"})"},
      {400, R"({"name":"e","channels":[1],"data":"1"})"},
      {400, R"({"name":"pusher:error","channel":"a","data":"1"})"},
      {400, R"({"name":"e","channel":"a","data":"1","socket_id":"x"})"},
      {413, R"({"name":"e","channel":"a","data":")" + std::string(1001, 'x') + R"("})"},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(parse_event_request(each.body, 1000).refused.status, each.status) << each.body;
  }
}

TEST(PusherEvents, ABatchIsTenAtMost) {
  std::string events;
  for (int i = 0; i < 10; ++i) events += std::string(i > 0 ? "," : "") + R"({"name":"e","channel":"a","data":"1"})";
  EXPECT_EQ(parse_batch_request("{\"batch\":[" + events + "]}", 1000).events.size(), 10u);
  events += R"(,{"name":"e","channel":"a","data":"1"})";
  EXPECT_EQ(parse_batch_request("{\"batch\":[" + events + "]}", 1000).refused.status, 400);
  EXPECT_EQ(parse_batch_request(R"({"batch":[{"name":"e","data":"1"}]})", 1000).refused.status, 400);
  EXPECT_EQ(parse_batch_request("{}", 1000).refused.status, 400);
}

TEST(PusherRoutes, WhatAPathNames) {
  using Kind = Route::Kind;
  const struct {
    std::string_view path;
    Kind kind;
    std::string_view app;
    std::string_view name;
  } kCases[] = {
      {"/apps/77/events", Kind::Events, "77", ""},
      {"/x/apps/77/batch_events", Kind::BatchEvents, "77", ""},
      {"/apps/77/channels", Kind::Channels, "77", ""},
      {"/apps/77/channels/presence-a", Kind::Channel, "77", "presence-a"},
      {"/apps/77/channels/presence-a/users", Kind::Users, "77", "presence-a"},
      {"/apps/77/connections", Kind::Connections, "77", ""},
      {"/apps/77/users/a/b/terminate_connections", Kind::Terminate, "77", "a/b"},
      {"/apps/77/users/terminate_connections", Kind::Unknown, "77", ""},
      {"/apps/77", Kind::Unknown, "", ""},
      {"/apps/77/", Kind::Unknown, "77", ""},
      {"/events", Kind::Unknown, "", ""},
  };
  for (const auto& each : kCases) {
    const Route route = route_of(each.path);
    EXPECT_EQ(route.kind, each.kind) << each.path;
    EXPECT_EQ(route.app, each.app) << each.path;
    EXPECT_EQ(route.name, each.name) << each.path;
  }
}

}  // namespace
}  // namespace beamgate::api::pusher
