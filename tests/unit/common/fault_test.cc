// Faults on demand: only in a build for tests, and only for a message that asks for one or at a point planned for it.
#include "common/fault/fault.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace beamgate::fault {
namespace {

TEST(Fault, OtherMessagesDoNothing) {
  for (const char* message : {"", "fault", "fault:", "fault:unknown", "segv", " fault:segv"}) obey(message);
}

#ifdef BEAMGATE_FAULTS
TEST(FaultDeathTest, DiesAsTold) {
  EXPECT_EXIT(obey("fault:exit"), testing::ExitedWithCode(3), "");
  EXPECT_THROW(obey("fault:throw"), std::runtime_error);
}
#else
TEST(Fault, NoneWithoutTheBuildOption) { obey("fault:exit"); }
#endif

// Beside this test's own binary, in a directory that tests at the same time share: each has points of its own.
class FaultPoint : public testing::Test {
 protected:
  FaultPoint() { std::filesystem::create_directory(directory_); }
  ~FaultPoint() override {
    for (const std::string& path : planned_) std::filesystem::remove(path);
  }
  std::string plan(const std::string& name, const std::string& text) {
    planned_.push_back(directory_ + name);
    std::ofstream(planned_.back()) << text;
    return planned_.back();
  }

  const std::string directory_ = std::filesystem::read_symlink("/proc/self/exe").string() + ".faults/";
  std::vector<std::string> planned_;
};

TEST_F(FaultPoint, OtherPointsDoNothing) {
  point("nothing");
  plan("another", "exit");
  plan("empty", "");
  plan("unknown", "sleep");
  for (const char* name : {"nothing", "empty", "unknown"}) point(name);
}

#ifdef BEAMGATE_FAULTS
TEST_F(FaultPoint, DiesAsPlanned) {
  plan("first", "exit");
  EXPECT_EXIT(point("first"), testing::ExitedWithCode(3), "");
  plan("killed", "kill");
  EXPECT_EXIT(point("killed"), testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FaultPoint, WaitsForItsTime) {
  plan("third", "exit 3");
  point("third");
  point("third");
  EXPECT_EXIT(point("third"), testing::ExitedWithCode(3), "");
}

TEST_F(FaultPoint, HappensOnce) {
  const std::string path = plan("once", "exit 1 once");
  EXPECT_EXIT(point("once"), testing::ExitedWithCode(3), "");
  EXPECT_FALSE(std::filesystem::exists(path));
  point("once");
}
#else
TEST_F(FaultPoint, NoneWithoutTheBuildOption) {
  plan("never", "exit");
  point("never");
}
#endif

}  // namespace
}  // namespace beamgate::fault
