// A reload serves old connections with the new settings of their location, or with the old ones when the
// location is gone, and keeps no generation that nobody needs.  No setting promises what the bus can't carry.
#include "worker/settings.h"

#include <gtest/gtest.h>

#include "common/ipc/messages.h"
#include "common/ipc/wire.h"

namespace beamgate {
namespace {

Settings::Generation make(std::vector<std::pair<uint32_t, uint64_t>> locations) {
  auto config = std::make_shared<config::Config>();
  config::Server server;
  for (const auto& [id, bytes] : locations) {
    config::Location location;
    location.id = id;
    location.body_bytes_max = bytes;
    server.locations.push_back(location);
  }
  config->http.servers.push_back(server);
  return config;
}

TEST(Settings, TheNewestGenerationThatHasALocationServesIt) {
  Settings settings(make({{1, 10}, {2, 20}}));
  settings.use(make({{1, 11}}), {1, 2});
  EXPECT_EQ(settings.location(1)->body_bytes_max, 11u);
  EXPECT_EQ(settings.location(2)->body_bytes_max, 20u);
  EXPECT_EQ(settings.location(3), nullptr);
}

TEST(Settings, GenerationsGoWithTheirLastUser) {
  Settings settings(make({{1, 10}, {2, 20}}));
  settings.use(make({{1, 11}}), {2});
  EXPECT_EQ(settings.generations(), 2u);
  settings.use(make({{1, 12}}), {2});
  EXPECT_EQ(settings.generations(), 2u) << "the middle one has nothing that is needed";
  EXPECT_EQ(settings.location(2)->body_bytes_max, 20u);
  settings.use(make({{1, 13}}), {});
  EXPECT_EQ(settings.generations(), 1u);
  EXPECT_EQ(settings.location(2), nullptr);
}

TEST(Settings, APublicationIsAsLargeAsTheBusCarriesAtMost) {
  const auto effective = [](uint64_t configured) {
    auto config = std::make_shared<config::Config>();
    config->publication_bytes_max = configured;
    return Settings(std::move(config)).publication_bytes_max();
  };
  EXPECT_EQ(effective(1 << 20), 1u << 20);
  EXPECT_EQ(effective(ipc::kPublicationBytesMax), ipc::kPublicationBytesMax);
  EXPECT_EQ(effective(16 << 20), ipc::kPublicationBytesMax);

  const std::string payload(ipc::kPublicationBytesMax, 'x');
  const std::string name(ipc::kChannelNameBytesMax, 'c');
  const std::string meta(ipc::kMetaBytesMax, 'm');
  const std::string user(ipc::kUserBytesMax, 'u');
  const ipc::Origin origin{.sender = 1, .user = user, .event = name, .meta = meta};
  const ipc::Publish publish{.ticket = 1, .channel = name, .payload = payload, .origin = origin, .idempotency_key = name};
  EXPECT_LE(ipc::encode(publish).size(), ipc::kFrameBytesMax) << "with everything beside it";
  const ipc::Deliver deliver{.offset = 1, .channel = name, .payload = payload, .origin = origin};
  EXPECT_LE(ipc::encode(deliver).size(), ipc::kFrameBytesMax);
}

}  // namespace
}  // namespace beamgate
