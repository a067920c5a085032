// What the channels and users of an app are called on the node, and back.
#include "common/config/app_channels.h"

#include <gtest/gtest.h>

namespace beamgate::config {
namespace {

std::shared_ptr<App> app_with(std::string_view prefix) {
  auto app = std::make_shared<App>();
  app->channel_prefix = prefix;
  return app;
}

TEST(AppChannels, NamesBeginWithThePrefix) {
  const auto till = app_with("till/");
  EXPECT_EQ(channel_on_node(*till, "private-a"), "till/private-a");
  EXPECT_EQ(channel_on_node(*till, "#server-to-user-ann"), "#server-to-user-till/ann");
  EXPECT_EQ(user_on_node(*till, "ann"), "till/ann");
  const auto shop = app_with("");
  EXPECT_EQ(channel_on_node(*shop, "private-a"), "private-a");
  EXPECT_EQ(user_on_node(*shop, "ann"), "ann");
}

TEST(AppChannels, TheLongestPrefixIsTheApps) {
  Http http;
  http.apps = {{"a", app_with("")}, {"b", app_with("till/")}, {"c", app_with("till.two/")}};
  EXPECT_EQ(app_prefix_of(http, "till/news"), "till/");
  EXPECT_EQ(app_prefix_of(http, "till.two/news"), "till.two/");
  EXPECT_EQ(app_prefix_of(http, "tilt/news"), "");
  EXPECT_EQ(app_prefix_of(http, "news"), "");
  EXPECT_EQ(app_prefix_of(http, "#server-to-user-till/ann"), "till/");
  EXPECT_EQ(name_in_app(http, "till/presence-a"), "presence-a");
  EXPECT_EQ(name_in_app(http, "#server-to-user-till/ann"), "#server-to-user-ann");
  EXPECT_EQ(name_in_app(http, "other/presence-a"), "other/presence-a");
}

}  // namespace
}  // namespace beamgate::config
