// A whole master for tests, with workers in miniature; also the binary that an upgrade of it executes.
#pragma once

#include <string>

#include "master/image.h"

namespace beamgate::master {

// Runs the master of the configuration DIRECTORY/conf, or goes on from what another image has left.  The exit status.
//
// Its workers accept, answer "slot pid generation uid" and close.  What working_directory or the environment's
// BEAMGATE_TEST_MOOD contains changes them:
//   exits        they end before they are ready
//   holds        they keep their clients and answer each byte as before; these clients can be moved
//   refuses      they die when clients are to move in
int run_test_master(const std::string& directory, const Program& program);

// In the environment of a process of this program: it is to run the master of this directory.
constexpr const char* kTestDirectory = "BEAMGATE_TEST_DIRECTORY";

}  // namespace beamgate::master
