// The tests, or the master that one of them has an upgrade execute.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "tests/unit/master/test_master.h"

int main(int argc, char** argv) {
  using namespace beamgate::master;
  if (argc > 1 && strcmp(argv[1], "--handover-rehearsal") == 0) return rehearse();
  if (const char* directory = getenv(kTestDirectory)) {
    const std::string binary = std::string(directory) + "/binary";
    return run_test_master(directory, {binary, {binary}});
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
