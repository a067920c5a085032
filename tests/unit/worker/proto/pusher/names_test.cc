// Names of channels and sockets: what is one, of which kind, and what is none.
#include <gtest/gtest.h>

#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/socket_id.h"

namespace beamgate::pusher {
namespace {

TEST(PusherChannelName, KindsByPrefix) {
  const struct {
    std::string_view name;
    ChannelKind kind;
    bool cache;
  } kCases[] = {
      {"news", ChannelKind::Public, false},
      {"cache-news", ChannelKind::Public, true},
      {"private-a", ChannelKind::Private, false},
      {"private-cache-a", ChannelKind::Private, true},
      {"private-encrypted-a", ChannelKind::Encrypted, false},
      {"private-encrypted-cache-a", ChannelKind::Encrypted, true},
      {"presence-a", ChannelKind::Presence, false},
      {"presence-cache-a", ChannelKind::Presence, true},
      {"#server-to-user-u-7", ChannelKind::User, false},
      {"room:5", ChannelKind::Public, false},
  };
  for (const auto& each : kCases) {
    const auto parsed = parse_channel(each.name);
    ASSERT_TRUE(parsed.has_value()) << each.name;
    EXPECT_EQ(parsed->kind, each.kind) << each.name;
    EXPECT_EQ(parsed->cache, each.cache) << each.name;
  }
}

TEST(PusherChannelName, WhatIsNone) {
  for (const std::string_view name : {"", "a b", "a/b", "#other", "#server-to-user-", "a\n", "caf\xc3\xa9", "a*"}) {
    EXPECT_FALSE(parse_channel(name).has_value()) << name;
  }
  EXPECT_TRUE(parse_channel(std::string(164, 'a')).has_value());
  EXPECT_FALSE(parse_channel(std::string(165, 'a')).has_value());
  EXPECT_TRUE(parse_channel(std::string(200, 'a'), kServerNameBytesMax).has_value());
  EXPECT_FALSE(parse_channel(std::string(201, 'a'), kServerNameBytesMax).has_value());
}

TEST(PusherChannelName, ClientEventsWhereSubscribersAreVouchedFor) {
  EXPECT_FALSE(parse_channel("news")->takes_client_events());
  EXPECT_TRUE(parse_channel("private-a")->takes_client_events());
  EXPECT_TRUE(parse_channel("presence-a")->takes_client_events());
  EXPECT_FALSE(parse_channel("private-encrypted-a")->takes_client_events());
  EXPECT_FALSE(parse_channel("#server-to-user-1")->takes_client_events());
}

TEST(PusherSocketId, ThereAndBack) {
  for (const uint64_t uid : {uint64_t{1}, uint64_t{0x0001000002abcdef}, UINT64_MAX}) {
    EXPECT_EQ(parse_socket_id(format_socket_id(uid)), uid);
  }
  EXPECT_EQ(format_socket_id(uint64_t{7001} << 32 | 42), "7001.42");
}

TEST(PusherSocketId, WhatIsNone) {
  for (const std::string_view text : {"", "1", "1.", ".1", "1.2.3", "a.1", "-1.2", "4294967296.1", "1.4294967296"}) {
    EXPECT_FALSE(parse_socket_id(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace beamgate::pusher
