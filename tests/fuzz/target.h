// Target: one parser, or one thing that parses, and what must hold of it whatever bytes it is given.
//
// A file NAME_fuzz.cc has one FUZZ_TARGET(NAME) and a directory corpus/NAME of inputs that mean something to it.  It
// states what must hold with BG_ASSERT: that what was written is read as it was, that the place where the network cuts
// means nothing, that a simple reference written from the standard says the same.
// Built       by the preset "fuzz" with libFuzzer (entry.cc), one program for each; by every other one into
//             fuzz_replay (replay.cc), which runs the corpora as CTest's fuzz.NAME.
// Inputs      are text where that can be: a line for each parameter, the rest is what is parsed.  See input.h.
#pragma once

#include <string_view>
#include <vector>

namespace beamgate::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view bytes);
};

// Those of this program.
std::vector<Target>& targets();

struct Registration {
  explicit Registration(Target target) { targets().push_back(target); }
};

}  // namespace beamgate::fuzz

#define FUZZ_TARGET(target_name)                                                                      \
  static void fuzz_##target_name(std::string_view bytes);                                            \
  static const ::beamgate::fuzz::Registration registration_##target_name{{#target_name, fuzz_##target_name}}; \
  static void fuzz_##target_name(std::string_view bytes)
