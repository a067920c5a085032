// Shows that a gateway is found by a configuration that does not load, and never another one than is meant.
#include "common/config/places.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace beamgate::config {
namespace {

class PlacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/beamgate-places-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    options_.prefix = directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ + '/' + name) << text; }
  // Control socket and pid file, relative to the prefix.
  std::string found() {
    const Places places = find_places(options_);
    const auto shown = [this](std::string path) {
      if (path.starts_with(directory_ + '/')) path.erase(0, directory_.size() + 1);
      return path.empty() ? std::string("none") : path;
    };
    return shown(places.control_path) + ' ' + shown(places.pid_path);
  }

  std::string directory_;
  LoadOptions options_;
};

TEST_F(PlacesTest, LinesAreTakenAsTheyStand) {
  const std::string lines = "pid run/me.pid;\ncontrol unix:/a/b.sock;\n";
  for (const char* rest :
       {"", "nonsense on;", "http {", "http { server { listen \"", "}", "include none.conf;", "pid"}) {
    write("beamgate.conf", lines + rest);
    EXPECT_EQ(found(), "/a/b.sock run/me.pid") << rest;
  }
  write("more.conf", lines);
  write("beamgate.conf", "include more.conf; http {");
  EXPECT_EQ(found(), "/a/b.sock run/me.pid");
  options_.global_directives = "pid other.pid";
  write("beamgate.conf", "");
  EXPECT_EQ(found(), "none other.pid");
}

TEST_F(PlacesTest, WhatMakesNoSenseIsPassedOver) {
  write("beamgate.conf", "control here; control; pid a b; pid { } control { unix:x; } http { pid x; control unix:x; }");
  EXPECT_EQ(found(), "none none");
}

TEST_F(PlacesTest, OrTheUsualPlacesOfThePrefix) {
  EXPECT_EQ(found(), "none none");
  write("control.sock", "");
  write("beamgate.pid", "");
  EXPECT_EQ(found(), "control.sock beamgate.pid");
  write("beamgate.conf", "control off; pid off;");
  EXPECT_EQ(found(), "none none");
}

}  // namespace
}  // namespace beamgate::config
