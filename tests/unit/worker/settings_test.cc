// A reload serves old connections with the new settings of their location, or with the old ones when the
// location is gone, and keeps no generation that nobody needs.
#include "worker/settings.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace beamgate
