// Log: what is written, what is held back and told later, and lines that can't be written.
#include "common/log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace beamgate::log {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "beamgate-log-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    base_ = name;
    ASSERT_TRUE(log_.open(path(), Level::Info).ok());
  }
  void TearDown() override { fs::remove_all(base_); }

  std::string path() const { return (base_ / "error.log").string(); }
  std::string logged() const {
    std::ifstream file(path());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  size_t lines() const {
    const std::string text = logged();
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  fs::path base_;
  Log log_{"test"};
};

TEST_F(LogTest, ALineSaysWhenWhoAndWhat) {
  log_.warn("thing_happened", {{"plain", 42}, {"quoted", "a \"b\"\n"}});
  EXPECT_THAT(logged(), testing::ContainsRegex("^[0-9/]+ [0-9:.]+ \\[warn\\] [0-9]+#test: thing_happened plain=42"));
  EXPECT_THAT(logged(), HasSubstr(" quoted=\"a \\\"b\\\"\\x0a\"\n"));
  log_.debug("not_said");
  EXPECT_EQ(lines(), 1u);
}

TEST_F(LogTest, AValueIsQuotedWhereItWouldBeMoreThanText) {
  log_.warn("names", {{"plain", "M\xc3\xbcnchen"}, {"empty", ""}, {"c1", "\xc2\x9b" "31m"}, {"bytes", "a\xff\x7f"},
                      {"both", "\\x9b\x9b"}});
  EXPECT_THAT(logged(), HasSubstr(" plain=M\xc3\xbcnchen empty=\"\" c1=\"\\xc2\\x9b31m\" bytes=\"a\\xff\\x7f\""
                                  " both=\"\\\\x9b\\x9b\"\n"));
}

TEST_F(LogTest, TheSameLineIsSaidAFewTimesAndThenCounted) {
  for (int i = 0; i < 100; ++i) log_.error("disk_full", {{"path", "x"}});
  EXPECT_EQ(lines(), Log::kSameMax);
  while (lines() == Log::kSameMax) {
    log_.report_repeats();
    std::this_thread::yield();
  }
  EXPECT_THAT(logged(), HasSubstr("[error]"));
  EXPECT_THAT(logged(), HasSubstr(": log_repeats event=disk_full times_more=95\n"));
  log_.report_repeats();
  EXPECT_EQ(lines(), Log::kSameMax + 1) << "it is told once";
}

TEST_F(LogTest, TheSameOfManyConnectionsIsTheSame) {
  for (int i = 0; i < 20; ++i) log_.error("upstream_failed", {{"connection", i}, {"server", "a"}});
  EXPECT_EQ(lines(), Log::kSameMax);
  EXPECT_THAT(logged(), HasSubstr("upstream_failed connection=4 server=a\n"));
  log_.error("upstream_failed", {{"connection", 20}, {"server", "b"}});
  EXPECT_THAT(logged(), HasSubstr("connection=20 server=b\n"));
}

TEST_F(LogTest, WhoListensHearsWhatIsWritten) {
  std::string heard;
  log_.set_on_line([&heard](Level level, std::string_view text) { (heard += level_name(level)) += ' ' + std::string(text) + '\n'; });
  log_.error("one", {{"key", "a b"}});
  log_.debug("not at this level");
  for (uint32_t i = 0; i < Log::kSameMax + 5; ++i) log_.warn("again");
  std::string expected = "error one key=\"a b\"\n";
  for (uint32_t i = 0; i < Log::kSameMax; ++i) expected += "warn again\n";
  EXPECT_EQ(heard, expected);
}

TEST_F(LogTest, WhatIsNotAnErrorMayRepeat) {
  for (uint32_t i = 0; i < Log::kSameMax + 5; ++i) log_.notice("listening", {{"address", "a"}});
  EXPECT_EQ(lines(), Log::kSameMax + 5);
}

TEST_F(LogTest, DifferentLinesOfOneEventHaveALimitPerSecond) {
  for (int i = 0; i < 200; ++i) log_.info("request_refused", {{"number", i}});
  EXPECT_LE(lines(), 2 * Log::kRepeatsMax);  // A second may end in between.
  log_.info("another_event");
  EXPECT_THAT(logged(), HasSubstr("another_event"));
}

TEST_F(LogTest, WhatCanNotBeWrittenIsCounted) {
  int lost = 0;
  log_.set_on_lost([&lost] { ++lost; });
  ASSERT_TRUE(log_.open("/dev/full", Level::Info).ok());
  log_.error("one");
  log_.error("two");
  EXPECT_EQ(lost, 2);
  ASSERT_TRUE(log_.open(path(), Level::Info).ok());
  log_.error("three");
  EXPECT_EQ(lost, 2);
}

TEST_F(LogTest, ANewSinkHasTheOldOnesNumber) {
  const int number = log_.descriptor();
  ASSERT_TRUE(log_.open((base_ / "other.log").string(), Level::Error).ok());
  EXPECT_EQ(log_.descriptor(), number);
  EXPECT_FALSE(log_.open((base_ / "no" / "such").string(), Level::Error).ok());
  EXPECT_EQ(log_.descriptor(), number);
}

TEST_F(LogTest, WhoBorrowsASocketSpeaksSyslog) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  const UniqueFd here(ends[0]), there(ends[1]);
  Log keeper("keeper");
  keeper.borrow(here.get(), "syslog:server=unix:/nowhere,facility=daemon,tag=gate,nohostname", Level::Info);
  keeper.error("worker_died");
  char text[512] = {};
  ASSERT_GT(recv(there.get(), text, sizeof text - 1, 0), 0);
  EXPECT_THAT(text, testing::StartsWith("<27>"));
  EXPECT_THAT(text, HasSubstr(" gate: "));
  EXPECT_THAT(text, testing::EndsWith("#keeper: worker_died"));
}

TEST(Syslog, ItsTextIsReadAndItsServerReplaced) {
  SyslogTarget target;
  std::string error;
  ASSERT_TRUE(parse_syslog("syslog:server=[::1]:1514,facility=local0,severity=debug,tag=a_1,nohostname", target, error));
  EXPECT_EQ(target.facility, 16);
  EXPECT_EQ(target.severity, 7);
  EXPECT_EQ(target.tag, "a_1");
  EXPECT_FALSE(target.hostname);
  EXPECT_EQ(target.address.ss_family, AF_INET6);
  for (const char* bad : {"syslog:", "syslog:server=", "syslog:server=name", "syslog:server=127.0.0.1", "syslog:server=127.0.0.1:0",
                          "syslog:server=127.0.0.1:514,tag=", "syslog:server=127.0.0.1:514,x", "syslog:server=unix:"}) {
    error.clear();
    EXPECT_FALSE(parse_syslog(bad, target, error)) << bad;
    EXPECT_NE(error, "") << bad;
  }
  EXPECT_EQ(syslog_server("syslog:tag=x,server=logs.example:99,nohostname"), "logs.example:99");
  EXPECT_EQ(with_syslog_server("syslog:server=name,tag=x", "10.0.0.1:514"), "syslog:server=10.0.0.1:514,tag=x");
  EXPECT_EQ(with_syslog_server("syslog:tag=x", "10.0.0.1:514"), "syslog:tag=x");
}

}  // namespace
}  // namespace beamgate::log
