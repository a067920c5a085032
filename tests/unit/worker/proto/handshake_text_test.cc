// Handshake text: which of a client's fields an application gets to see - never one that could pass for the
// gateway's own word - and how they and the channel are kept in the record.
#include "worker/proto/handshake_text.h"

#include <gtest/gtest.h>

namespace beamgate::proto {
namespace {

TEST(HandshakeText, OnlyListedFieldsAreForwarded) {
  const std::vector<http::Field> fields = {{"Cookie", "a=1"}, {"X-Other", "no"}, {"cookie", "b=2"}};
  EXPECT_EQ(forwarded_fields(fields, {"cookie"}), "cookie: a=1\r\ncookie: b=2\r\n");
  EXPECT_EQ(forwarded_fields(fields, {}), "");
}

TEST(HandshakeText, NothingPassesForTheGatewaysOwnWord) {
  for (const char* name : {"Beamgate-User", "beamgate_user", "CE-Type", "ce_type", "webhook-signature", "Webhook_Id",
                           "content-type", "Content_Length", "Host", "connection", "transfer-encoding", "Upgrade"}) {
    std::string lower(name);
    for (char& c : lower) c = static_cast<char>(tolower(c));
    EXPECT_EQ(forwarded_fields({{name, "x"}}, {lower}), "") << name;
  }
  EXPECT_EQ(forwarded_fields({{"x-beamgate-user", "ok"}}, {"x-beamgate-user"}), "x-beamgate-user: ok\r\n");
  EXPECT_EQ(forwarded_fields({{"x-a", "1\r\nce-type: y"}, {"x-a", std::string_view("\0", 1)}}, {"x-a"}), "");
}

TEST(HandshakeText, WhatIsKeptComesBack) {
  for (const auto& [channel, fields] : {std::pair{"", ""}, {"room", ""}, {"", "cookie: a\r\n"}, {"room", "a: b\r\nc: d\r\n"}}) {
    const std::string text = encode_handshake({channel, "{}", fields});
    EXPECT_EQ(decode_handshake(text).publish_channel, channel);
    EXPECT_EQ(decode_handshake(text).forward_fields, fields);
  }
  EXPECT_EQ(encode_handshake({"", "", ""}), "");
}

}  // namespace
}  // namespace beamgate::proto
