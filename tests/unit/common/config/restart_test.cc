// Restart settings: those of the rows that say so, with their defaults, as the configuration that is in force says them.
#include "common/config/restart.h"

#include <gtest/gtest.h>

#include "common/config/directive.h"
#include "common/config/load.h"

namespace beamgate::config {
namespace {

RestartSettings settings(const std::string& text) {
  const LoadResult loaded = load_text(text);
  EXPECT_TRUE(loaded.ok()) << report(loaded);
  return loaded.ok() ? restart_settings(loaded.config->dump) : RestartSettings();
}

TEST(Restart, EveryRowThatNeedsOneIsThere) {
  const RestartSettings defaults = settings("");
  for (const Area& area : areas()) {
    for (const Directive& row : area.rows) EXPECT_EQ(defaults.contains(row.name), row.applies == Applies::Restart) << row.name;
  }
  EXPECT_EQ(defaults.at("pid"), "/run/beamgate.pid");
  EXPECT_EQ(defaults.at("worker_connections"), "10000");
  EXPECT_EQ(defaults.at("working_directory"), "");
}

TEST(Restart, WhatIsSaidCounts) {
  EXPECT_EQ(settings("pid /run/beamgate.pid; events { worker_connections 10000; }"), settings("worker_processes 3;")) << "the defaults";
  const RestartSettings said = settings("user root root; daemon off; events { worker_connections 5; } pid /a/b.pid;");
  EXPECT_EQ(said.at("user"), "root root");
  EXPECT_EQ(said.at("daemon"), "off");
  EXPECT_EQ(said.at("worker_connections"), "5");
  EXPECT_EQ(said.at("pid"), "/a/b.pid");
}

}  // namespace
}  // namespace beamgate::config
