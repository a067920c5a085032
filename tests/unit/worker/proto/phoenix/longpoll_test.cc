// Long polls: what clients post, what they are answered, and the WebSocket that is made of both.
#include <gtest/gtest.h>

#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/longpoll_body.h"
#include "worker/proto/phoenix/longpoll_link.h"
#include "worker/proto/phoenix/longpoll_token.h"
#include "worker/proto/phoenix/tag.h"
#include "worker/ws/frame_head.h"

namespace beamgate::proto::phoenix {
namespace {

using namespace std::string_literals;

TEST(PhoenixLongPollBody, LinesAreFrames) {
  const auto frames = parse_post("[\"1\"]\n\r\n[2]\r\n3q0=\n");
  ASSERT_TRUE(frames.has_value());
  ASSERT_EQ(frames->size(), 3u);
  EXPECT_EQ((*frames)[0].bytes, "[\"1\"]");
  EXPECT_EQ((*frames)[1].bytes, "[2]");
  EXPECT_FALSE((*frames)[1].binary);
  EXPECT_EQ((*frames)[2].bytes, "\xde\xad");
  EXPECT_TRUE((*frames)[2].binary);
  EXPECT_TRUE(parse_post("")->empty());
}

TEST(PhoenixLongPollBody, WhatIsNeitherIsRefused) {
  EXPECT_FALSE(parse_post("{}").has_value());
  EXPECT_FALSE(parse_post("[1]\n3q0").has_value());
  std::string many;
  for (size_t i = 0; i < kFramesMax; ++i) many += "[]\n";
  EXPECT_EQ(parse_post(many)->size(), kFramesMax);
  EXPECT_FALSE(parse_post(many + "[]").has_value());
}

TEST(PhoenixLongPollBody, Answers) {
  EXPECT_EQ(poll_answer(410, "t", {}), R"({"status":410,"token":"t","messages":[]})");
  EXPECT_EQ(poll_answer(200, "t", {"[1]", "[\"a\"]"}),
            R"({"status":200,"token":"t","messages":["[1]","[\"a\"]"]})");
  EXPECT_EQ(status_answer(403), R"({"status":403})");
}

TEST(PhoenixLongPollToken, NamesItsConnection) {
  const std::string token = make_token(0x0001000002000003);
  EXPECT_EQ(uid_of_token(token), 0x0001000002000003u);
  EXPECT_NE(make_token(1), make_token(1));
  for (const std::string& other :
       {""s, token.substr(1), token + "0", "x" + token.substr(1), std::string(49, '0')}) {
    EXPECT_FALSE(uid_of_token(other).has_value()) << other;
  }
}

TEST(PhoenixTag, WhatIsKeptComesBack) {
  const std::string kept = encode_tag({"\"1\"", "\"2\"", "{}"});
  const Tag joining = decode_tag(kept);
  EXPECT_EQ(joining.join_ref, "\"1\"");
  EXPECT_EQ(joining.ref, "\"2\"");
  EXPECT_EQ(joining.response, "{}");
  EXPECT_TRUE(decode_pushes(joining.pushes).empty());
  const std::string later = encode_tag({"\"1\"", {}, {}});
  const Tag joined = decode_tag(later);
  EXPECT_EQ(joined.join_ref, "\"1\"");
  EXPECT_EQ(joined.ref, "");
  EXPECT_EQ(decode_tag("").join_ref, "");
}

TEST(PhoenixTag, PushesComeBackBehindTheResponse) {
  const std::string bytes("\x1e\n\0b", 4);
  const std::string pushes = encode_pushes({{false, "[1,\n2]"}, {true, bytes}, {false, "[]"}});
  const std::string kept = encode_tag({"\"1\"", "\"2\"", "{\n}", pushes});
  const Tag tag = decode_tag(kept);
  EXPECT_EQ(tag.response, "{\n}");
  const std::vector<Push> again = decode_pushes(tag.pushes);
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[0].frame, "[1,\n2]");
  EXPECT_TRUE(again[1].binary);
  EXPECT_EQ(again[1].frame, bytes);
  EXPECT_EQ(again[2].frame, "[]");
}

struct Told : LongPollLink::Listener {
  void on_mail(uint64_t session) override { told.push_back(session); }
  std::vector<uint64_t> told;
};

struct PhoenixLongPollLink : testing::Test {
  Told listener;
  std::shared_ptr<Mailbox> mail = std::make_shared<Mailbox>();
  std::shared_ptr<LongPollLink::Listener*> listening = std::make_shared<LongPollLink::Listener*>(&listener);
  std::unique_ptr<LongPollLink> link = make();

  std::unique_ptr<LongPollLink> make() {
    auto made = std::make_unique<LongPollLink>(mail, listening);
    made->set_session(7);
    return made;
  }
  ssize_t send(std::string bytes) {
    const iovec vector{bytes.data(), bytes.size()};
    return link->send(&vector, 1);
  }
  static std::string frame(ws::Opcode opcode, std::string_view payload) {
    return std::string(ws::FrameHead(opcode, payload.size()).view()).append(payload);
  }
  std::string receive(size_t room = 1 << 20) {
    std::string out(room, 0);
    const ssize_t got = link->receive(out.data(), room);
    return out.substr(0, got < 0 ? 0 : static_cast<size_t>(got));
  }
};

TEST_F(PhoenixLongPollLink, FramesOfEverySizeBecomeMessages) {
  for (const size_t size : {0, 125, 126, 65535, 65536}) {
    const std::string payload(size, 'x');
    const std::string whole = frame(ws::Opcode::Text, payload);
    EXPECT_EQ(send(whole.substr(0, 1)), 1);
    EXPECT_TRUE(mail->messages.empty());
    send(whole.substr(1));
    ASSERT_EQ(mail->messages.size(), 1u) << size;
    EXPECT_EQ(mail->messages.front(), payload);
    mail->messages.clear();
    mail->waiting_bytes = 0;
  }
  EXPECT_EQ(listener.told, std::vector<uint64_t>(5, 7));
}

TEST_F(PhoenixLongPollLink, BinaryMessagesBecomeTexts) {
  send(frame(ws::Opcode::Binary, binary_broadcast("t", "e", "\xde\xad")) + frame(ws::Opcode::Binary, "\xff") +
       frame(ws::Opcode::Ping, "p") + frame(ws::Opcode::Text, "[]"));
  EXPECT_EQ(mail->messages, (std::deque<std::string>{R"([null,null,"t","e",{"base64":"3q0="}])", "[]"}));
  EXPECT_FALSE(link->readable());
}

TEST_F(PhoenixLongPollLink, PostsAreFramesOfAClient) {
  EXPECT_FALSE(link->readable());
  EXPECT_EQ(receive(), "");
  EXPECT_EQ(errno, EAGAIN);
  mail->add_input(false, "[1]");
  mail->add_input(true, "\xde");
  mail->add_pong();
  EXPECT_TRUE(link->readable());
  EXPECT_EQ(receive(4), "\x81\x83\0\0"s);
  EXPECT_EQ(receive(), "\0\0[1]\x82\x81\0\0\0\0\xde\x8a\x80\0\0\0\0"s);
  EXPECT_FALSE(link->readable());
  mail->add_input(false, std::string(126, 'x'));
  EXPECT_EQ(receive().substr(0, 8), "\x81\xfe\0\x7e\0\0\0\0"s);
  mail->add_input(false, std::string(65536, 'x'));
  EXPECT_EQ(receive().substr(0, 14), "\x81\xff\0\0\0\0\0\1\0\0\0\0\0\0"s);
}

TEST_F(PhoenixLongPollLink, ACloseIsAnswered) {
  send(frame(ws::Opcode::Close, "\x03\xe9why"));
  EXPECT_EQ(receive(), "\x88\x82\0\0\0\0\x03\xe9"s);
  link->shut_write();
  EXPECT_TRUE(link->readable());
  char byte;
  EXPECT_EQ(link->receive(&byte, 1), 0);
  link.reset();
  EXPECT_TRUE(mail->ended);
  EXPECT_EQ(listener.told.size(), 3u);
}

TEST_F(PhoenixLongPollLink, WhatNobodyFetchesWaitsElsewhere) {
  const std::string large = frame(ws::Opcode::Text, std::string(LongPollLink::kWaitingBytesMax, 'x'));
  EXPECT_GT(send(large), 0);
  EXPECT_FALSE(link->writable());
  EXPECT_EQ(send(large), -1);
  EXPECT_EQ(errno, EAGAIN);
  *listening = nullptr;  // The listener has gone first.
  link.reset();
}

}  // namespace
}  // namespace beamgate::proto::phoenix
