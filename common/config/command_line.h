// Command line: argv as a value; nginx's options and their ways of being written.
//
// Grammar   Options are single letters and may be joined ("-tq"); a value follows in the same word or is the
//           next one ("-c file", "-cfile").  What only another BeamGate asks for is a word ("--handover-version"), as are
//           --help and --version.  There are no other arguments.
// Errors    parse() yields a text for people; the program then ends with status 1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/config/load.h"

namespace beamgate::config {

struct CommandLine {
  // What was asked for; where options contradict each other, the one that does least wins.
  enum class Mode : uint8_t {
    Run,
    Signal,          // -s
    Test,            // -t
    TestAndDump,     // -T
    Version,         // -v
    VersionDetails,  // -V
    HandoverVersion,    // --handover-version, and the next: asked by a master that may execute this binary.
    HandoverRehearsal,  // --handover-rehearsal
    Help,            // -h, -?
  };
  enum class Signal : uint8_t { None, Stop, Quit, Reload, Reopen, Upgrade };

  Mode mode = Mode::Run;
  Signal signal = Signal::None;
  LoadOptions load;    // -c, -p, -g.
  bool quiet = false;  // -q: no word about a test that succeeds.
};

// args: argv without the program's name.  False with an error text when they make no sense.
bool parse(std::span<const char* const> args, CommandLine& out, std::string& error);

std::string_view usage();  // What -h prints.

}  // namespace beamgate::config
