// System check: each limit that would bite is named with both numbers, and a machine that has enough is let alone.
#include "master/system_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/load.h"

namespace beamgate::master {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const SystemFigures kPlenty{.files = 1'048'576, .files_most = 1'048'576, .files_of_system = 9'000'000, .backlog = 4'096};

std::vector<std::string> warnings(const std::string& text, const SystemFigures& system) {
  const config::LoadResult loaded = config::load_text("worker_processes 4; " + text);
  EXPECT_TRUE(loaded.ok()) << config::report(loaded);
  return loaded.ok() ? system_warnings(*loaded.config, system) : std::vector<std::string>{"not loaded"};
}

const std::string kPlain = "events { worker_connections 10000; } http { server { listen 127.0.0.1:1; return 200; } }";
const std::string kProxy =
    "events { worker_connections 10000; } http { server { listen 127.0.0.1:1; location / { location /x { proxy_pass "
    "http://127.0.0.1:2; } return 200; } } }";

TEST(SystemCheck, AMachineWithEnoughIsLetAlone) {
  EXPECT_THAT(warnings(kPlain, kPlenty), IsEmpty());
  EXPECT_THAT(warnings(kProxy, kPlenty), IsEmpty());
  EXPECT_THAT(warnings(kPlain, SystemFigures()), IsEmpty()) << "nothing could be read";
}

TEST(SystemCheck, OpenFiles) {
  SystemFigures few = kPlenty;
  few.files = 10'083;
  EXPECT_THAT(warnings(kPlain, few),
              ElementsAre(AllOf(HasSubstr("worker_connections 10000"), HasSubstr("RLIMIT_NOFILE is 10083"))));
  few.files = 10'084;
  EXPECT_THAT(warnings(kPlain, few), IsEmpty());
  EXPECT_THAT(warnings(kProxy, few), ElementsAre(HasSubstr("may take 20084 open files")));
  EXPECT_THAT(warnings("worker_rlimit_nofile 30000; " + kProxy, few),
              ElementsAre(HasSubstr("LimitNOFILE"), HasSubstr("RLIMIT_NOFILE is 10084")));
  few.may_raise_files = true;
  EXPECT_THAT(warnings("worker_rlimit_nofile 30000; " + kProxy, few), IsEmpty());
  EXPECT_THAT(warnings("worker_rlimit_nofile 2000000; " + kPlain, few), ElementsAre(HasSubstr("fs.nr_open allows: 1048576")));
  few.files_of_system = 40'000;
  EXPECT_THAT(warnings(kPlain, few), ElementsAre(AllOf(HasSubstr("40336"), HasSubstr("fs.file-max is 40000"))));
}

TEST(SystemCheck, Backlog) {
  SystemFigures small = kPlenty;
  small.backlog = 128;
  EXPECT_THAT(warnings(kPlain, small), ElementsAre(AllOf(HasSubstr("127.0.0.1:1, 511"), HasSubstr("net.core.somaxconn, 128"))));
  EXPECT_THAT(warnings("http { server { listen 127.0.0.1:1 backlog=100; } }", small), IsEmpty());
}

TEST(SystemCheck, WhatTheKernelLacks) {
  SystemFigures old = kPlenty;
  old.no_keeper = "the kernel has no robust futexes";
  old.has_pidfd = false;
  old.tracked = 1'000;
  EXPECT_THAT(warnings(kPlain, old), ElementsAre(HasSubstr("nf_conntrack_max is 1000"), HasSubstr("no robust futexes"),
                                                 HasSubstr("pidfd_open")));
  EXPECT_THAT(warnings("worker_keeper off; master_keeper off; " + kPlain, old), ElementsAre(HasSubstr("nf_conntrack")));
}

TEST(SystemCheck, LogsThatCanNotBeOpened) {
  SystemFigures system = kPlenty;
  system.access_log_problems = {"/a/b.log: Is a directory"};
  EXPECT_THAT(warnings(kPlain, system), ElementsAre(HasSubstr("/a/b.log: Is a directory")));
}

TEST(SystemCheck, LooksForEachLogWhereverItIsNamed) {
  const config::LoadResult loaded = config::load_text(
      "http { access_log /nowhere/a.log; access_log syslog:server=127.0.0.1:1; access_log /tmp combined; server {"
      " listen 127.0.0.1:1; location / { location /x { access_log /nowhere/inner.log; } access_log /dev/null; } } }");
  ASSERT_TRUE(loaded.ok()) << config::report(loaded);
  const SystemFigures system = read_system_figures(*loaded.config);
  EXPECT_THAT(system.access_log_problems,
              ElementsAre("/nowhere/a.log: No such file or directory", "/nowhere/inner.log: No such file or directory",
                          "/tmp: Is a directory"));
}

TEST(SystemCheck, ThisMachineHasFigures) {
  const SystemFigures system = read_system_figures(config::Config());
  EXPECT_GT(system.files, 0u);
  EXPECT_GT(system.backlog, 0u);
}

}  // namespace
}  // namespace beamgate::master
