// Faults on demand: only in a build for tests, and only for a message that asks for one.
#include "common/fault/fault.h"

#include <gtest/gtest.h>

#include <stdexcept>

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

}  // namespace
}  // namespace beamgate::fault
