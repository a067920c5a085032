// What a GRIP backend's answers do to a connection, and what it is told of it.
#include "worker/hook/grip_session.h"

#include <gtest/gtest.h>

#include "worker/hook/grip_events.h"

namespace beamgate::hook {
namespace {

constexpr std::string_view kEventsType = "application/websocket-events";

Actions act(const Fields& fields, std::string_view body, const GripState& state = {}, bool opening = false) {
  auto actions = grip_actions(fields, kEventsType, body, state, opening);
  EXPECT_TRUE(actions.ok());
  return actions.ok() ? std::move(actions).value() : Actions{};
}

TEST(GripSession, AnAnswerToOpenBeginsWithOpen) {
  EXPECT_TRUE(grip_actions({}, kEventsType, "OPEN\r\n", {}, true).ok());
  EXPECT_FALSE(grip_actions({}, kEventsType, "TEXT 1\r\na\r\n", {}, true).ok());
  EXPECT_FALSE(grip_actions({}, kEventsType, "", {}, true).ok());
  EXPECT_FALSE(grip_actions({}, "text/plain", "OPEN\r\n", {}, true).ok());
  EXPECT_TRUE(grip_actions({}, "Application/WebSocket-Events; charset=utf-8", "", {}, false).ok());
}

std::string event(std::string_view text) {
  std::string out;
  write_grip_event(GripEvent::Kind::Text, text, out);
  return out;
}

TEST(GripSession, TextIsUtf8) {
  const auto taken = [](const char* events) { return grip_actions({}, kEventsType, events, {}, false).ok(); };
  EXPECT_TRUE(taken("TEXT 2\r\n\xc3\xa4\r\nBINARY 1\r\n\xc3\r\n"));
  EXPECT_FALSE(taken("TEXT 1\r\n\xc3\r\n"));
  EXPECT_TRUE(taken("CLOSE 4\r\n\x0f\xa1\xc3\xa4\r\n"));
  EXPECT_FALSE(taken("CLOSE 3\r\n\x0f\xa1\xc3\r\n"));
  const Fields fields = {{"sec-websocket-extensions", "grip"}};
  const auto delays = [&](const char* type) {
    const std::string text = std::string(R"(c:{"type":"send-delayed","timeout":5,"content-bin":"AP8=","message-type":")") + type + "\"}";
    return GripState::parse(*act(fields, event(text)).state).next_ms() != 0;
  };
  EXPECT_TRUE(delays("binary"));
  EXPECT_FALSE(delays("text"));
}

TEST(GripSession, AUrlWithoutAPathTakesTheClients) {
  const auto target = [](const char* url, std::string_view fields) {
    auto endpoint = std::make_shared<config::Webhook>();
    endpoint->url = url;
    Call call{.endpoint = std::move(endpoint)};
    call.subject.forward_fields = fields;
    return std::string(grip_target_of_call(call));
  };
  constexpr std::string_view kFields = "cookie: a\r\nbeamgate-uri: /ws/5?user=ann\r\nx: beamgate-uri: /no\r\n";
  EXPECT_EQ(target("http://app", kFields), "/ws/5?user=ann");
  EXPECT_EQ(target("https://[::1]:8443", kFields), "/ws/5?user=ann");
  EXPECT_EQ(target("http://app", "x: beamgate-uri: /no\r\n"), "") << "of a connection that a version before has opened";
  for (const char* url : {"http://app/", "http://app/ws?x=1", "http://app?x=1"}) EXPECT_EQ(target(url, kFields), "") << url;
}

TEST(GripSession, WithoutTheExtensionEverythingIsData) {
  const Actions actions = act({}, "OPEN\r\nTEXT 5\r\nc:{}x\r\nBINARY 2\r\n\1\2\r\n");
  ASSERT_EQ(actions.send.size(), 2u);
  EXPECT_EQ(actions.send[0].bytes, "c:{}x");
  EXPECT_TRUE(actions.send[1].binary);
}

TEST(GripSession, ControlMessagesSteer) {
  const Fields fields = {{"sec-websocket-extensions", "grip; message-prefix=\"\""}};
  const Actions actions = act(
      fields, "OPEN\r\nTEXT 24\r\nc:{\"type\":\"subscribe\",\"channel\":\"a\"}\r\nTEXT 2\r\nhi\r\nTEXT 13\r\nc:{\"type\":\"detach\"}\r\n");
  EXPECT_EQ(actions.subscribe, std::vector<std::string>{"a"});
  ASSERT_EQ(actions.send.size(), 1u);
  EXPECT_EQ(actions.send[0].bytes, "hi");
  const GripState state = GripState::parse(*actions.state);
  EXPECT_TRUE(state.control);
  EXPECT_TRUE(state.detached);
  EXPECT_EQ(state.prefix, "");
}

TEST(GripSession, MessagesThatTheGatewaySendsByItself) {
  const Fields fields = {{"sec-websocket-extensions", "grip; message-prefix=\"\""}};
  const std::string beat = event(R"(c:{"type":"keep-alive","timeout":20,"content-bin":"AP8=","message-type":"binary"})");
  GripState state = GripState::parse(*act(fields, beat + event(R"(c:{"type":"send-delayed","timeout":5,"content":"x"})")).state);
  const int64_t due_ms = state.next_ms();
  EXPECT_TRUE(state.take_due(due_ms - 1).empty());
  std::vector<Message> due = state.take_due(due_ms);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].bytes, "x");
  due = state.take_due(due_ms + 16'000);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_TRUE(due[0].binary);
  EXPECT_EQ(due[0].bytes, std::string("\0\xff", 2));
  EXPECT_EQ(state.next_ms(), due_ms + 36'000);
  state = GripState::parse(*act({}, event(R"(c:{"type":"keep-alive"})"), state).state);
  EXPECT_EQ(state.next_ms(), 0);
}

TEST(GripSession, ADelayedMessageMayBeWantedNow) {
  const Fields fields = {{"sec-websocket-extensions", "grip"}};
  const Actions delayed = act(fields, event(R"(c:{"type":"send-delayed","timeout":5,"content":"x"})"));
  EXPECT_TRUE(delayed.send.empty());
  const Actions flushed = act({}, event(R"(c:{"type":"flush-delayed"})"), GripState::parse(*delayed.state));
  ASSERT_EQ(flushed.send.size(), 1u);
  EXPECT_EQ(GripState::parse(*flushed.state).next_ms(), 0);
  for (const char* refused : {R"("timeout":0,"content":"x")", R"("timeout":5)", R"("timeout":5,"content":"x","message-type":"ping")",
                              R"("timeout":5,"content-bin":"?")"}) {
    const Actions nothing = act(fields, event(std::string(R"(c:{"type":"send-delayed",)") + refused + "}"));
    EXPECT_EQ(GripState::parse(*nothing.state).next_ms(), 0) << refused;
  }
}

TEST(GripSession, APrefixMarksWhatIsForTheClient) {
  const Actions actions = act({{"sec-websocket-extensions", "grip"}}, "TEXT 4\r\nm:hi\r\nTEXT 2\r\nno\r\n");
  ASSERT_EQ(actions.send.size(), 1u);
  EXPECT_EQ(actions.send[0].bytes, "hi");
}

TEST(GripSession, FiltersDecideByWhoPublishesAndWhoHears) {
  const Fields fields = {{"sec-websocket-extensions", "grip"}, {"set-meta-user", "ann"}};
  const std::string subscribe =
      event(R"(c:{"type":"subscribe","channel":"room","filters":["skip-self","var-subst","skip-users","require-sub",7]})");
  const GripState state = GripState::parse(*act(fields, subscribe).state);
  const auto wants = [](const GripState& whose, std::string_view channel, std::string_view meta) {
    return grip_wants(whose, channel, GripMeta::parse(meta), [](std::string_view name) { return name == "vault"; });
  };
  for (const char* meta : {"{}", R"({"sender":"bob"})", R"({"sender":7})", R"({"skip_users":"annie, bob"})",
                           R"({"require_sub":"vault"})", R"({"other":"ann"})", "no JSON"}) {
    EXPECT_TRUE(wants(state, "room", meta)) << meta;
  }
  for (const char* meta : {R"({"sender":"ann"})", R"({"skip_users":"bob , ann"})", R"({"require_sub":"cellar"})"}) {
    EXPECT_FALSE(wants(state, "room", meta)) << meta;
    EXPECT_TRUE(wants(state, "vault", meta)) << "a channel without filters: " << meta;
    EXPECT_TRUE(wants({}, "room", meta)) << meta;
  }
  GripState nobody = state;
  nobody.meta.clear();
  EXPECT_TRUE(wants(nobody, "room", R"({"sender":"","skip_users":""})"));
  const GripState left = GripState::parse(*act({}, event(R"(c:{"type":"unsubscribe","channel":"room"})"), state).state);
  EXPECT_TRUE(left.filters.empty());
  const GripState again = GripState::parse(*act({}, event(R"(c:{"type":"subscribe","channel":"room"})"), state).state);
  EXPECT_TRUE(again.filters.empty()) << "what is said last holds";
}

TEST(GripSession, AStateTellsAtAGlanceWhetherItMayFilter) {
  const Fields fields = {{"sec-websocket-extensions", "grip"}, {"set-meta-filters", "\"filters\":"}};
  const auto subscribe = [](const std::string& more) { return event(R"(c:{"type":"subscribe","channel":"room")" + more + "}"); };
  const auto later = event(R"(c:{"type":"keep-alive","timeout":5,"content":"{\"filters\":[1]}"})");
  EXPECT_FALSE(GripState::may_filter(""));
  EXPECT_FALSE(GripState::may_filter(*act(fields, subscribe("") + later).state));
  EXPECT_FALSE(GripState::may_filter(*act(fields, subscribe(R"(,"filters":["var-subst"])")).state));
  const std::string filtered = *act(fields, subscribe(R"(,"filters":["skip-self"])")).state;
  EXPECT_TRUE(GripState::may_filter(filtered));
  const std::string left = *act({}, event(R"(c:{"type":"unsubscribe","channel":"room"})"), GripState::parse(filtered)).state;
  EXPECT_FALSE(GripState::may_filter(left));
}

TEST(GripSession, MetaIsKeptAndSentAgain) {
  Actions actions = act({{"set-meta-user", "u 7"}, {"set-meta-x", "1"}}, "OPEN\r\n");
  GripState state = GripState::parse(*actions.state);
  actions = act({{"set-meta-x", ""}}, "", state);
  state = GripState::parse(*actions.state);
  ASSERT_EQ(state.meta.size(), 1u);
  auto webhook = std::make_shared<config::Webhook>();
  webhook->grip_key = "changeme";
  const std::string text = *actions.state;
  Call call{.endpoint = webhook, .type = "beamgate.message", .content_type = "text/plain", .body = "hello"};
  call.subject.state = text;
  const RequestHead head = grip_head_of_call(call, 1'790'000'000'000);
  EXPECT_NE(head.text().find("meta-user: u 7"), std::string::npos);
  EXPECT_EQ(head.text().find("meta-x"), std::string::npos);
  EXPECT_NE(head.text().find("grip-sig: eyJ"), std::string::npos);
  EXPECT_EQ(grip_body_of_call(call), "TEXT 5\r\nhello\r\n");
}

TEST(GripSession, AnIntervalHoldsForOneAnswer) {
  GripState state = GripState::parse(*act({{"keep-alive-interval", "25"}}, "OPEN\r\n").state);
  EXPECT_EQ(state.keepalive_s, 25u);
  EXPECT_EQ(GripState::parse(*act({}, "", state).state).keepalive_s, 0u);
  EXPECT_EQ(GripState::parse(*act({{"keep-alive-interval", "-1"}}, "", state).state).keepalive_s, 0u);
  auto webhook = std::make_shared<config::Webhook>();
  EXPECT_EQ(grip_body_of_call({.endpoint = webhook, .type = kGripKeepalive}), "");
}

TEST(GripSession, CloseHasACode) {
  const Actions actions = act({}, "CLOSE 5\r\n\x0f\xa0" "bye\r\n");
  EXPECT_EQ(actions.close->code, 4000);
  EXPECT_EQ(actions.close->reason, "bye");
  EXPECT_EQ(act({}, "CLOSE\r\n").close->code, 1000);
}

TEST(GripSession, AStrangeStateIsANewOne) {
  for (const char* text : {"", "x", "[]", "{\"meta\":[1,[2],[\"a\"]]}"}) {
    const GripState state = GripState::parse(text);
    EXPECT_FALSE(state.control);
    EXPECT_EQ(state.prefix, "m:");
    EXPECT_TRUE(state.meta.empty());
  }
}

}  // namespace
}  // namespace beamgate::hook
