// Shows that whole configurations become what they say, with the defaults of the table in all other fields,
// and that the canonical text means the same as what it was made from.
#include "common/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/regex.h"

namespace beamgate::config {
namespace {

TEST(Load, BuiltInConfigurationIsSoundAndComplete) {
  const LoadResult result = load_text(built_in_configuration());
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_TRUE(result.warnings.empty()) << report(result);
  const Config& config = *result.config;
  EXPECT_FALSE(config.daemon);
  EXPECT_EQ(config.pid_path, "");
  EXPECT_GE(config.worker_processes, 1u);
  ASSERT_EQ(config.http.servers.size(), 1u);
  const Server& server = config.http.servers[0];
  ASSERT_EQ(server.listens.size(), 2u);
  EXPECT_EQ(server.listens[0].address.text, "0.0.0.0:8080");
  EXPECT_EQ(server.listens[1].address.text, "[::]:8080");
  ASSERT_EQ(server.locations.size(), 6u);
  EXPECT_EQ(server.locations[0].action, Action::LivePage);
  EXPECT_EQ(server.locations[1].action, Action::WebSocket);
  EXPECT_EQ(server.locations[1].websocket.mode, WebSocketAction::Mode::Echo);
  const Location& hub = server.locations[2];
  EXPECT_EQ(hub.websocket.mode, WebSocketAction::Mode::Raw);
  EXPECT_EQ(hub.websocket.subscribe.at(0).source(), "$channel");
  EXPECT_EQ(hub.websocket.publish.source(), "$channel");
  Captures captures;
  EXPECT_TRUE(hub.regex->match("/hub/room.1", &captures).value());
  std::string_view channel;
  EXPECT_TRUE(captures.find("channel", channel));
  EXPECT_EQ(channel, "room.1");
  EXPECT_EQ(server.locations[5].action, Action::Api);
  EXPECT_EQ(server.locations[5].access.size(), 3u);
}

}  // namespace
}  // namespace beamgate::config
