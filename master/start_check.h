// Start check: which of a configuration's places would keep a master from starting, found without making anything there.
//
// `beamgate -t` ends with 1 for each; a start says the same in its own words when it gets there.
#pragma once

#include <string>
#include <vector>

#include "common/config/model.h"

namespace beamgate::master {

struct StartProblem {
  std::string said;  // Where it stands: a key of config::LoadResult::said.
  std::string text;
};

std::vector<StartProblem> start_problems(const config::Config& config);

// Why we couldn't append to the file, or make it; empty: we could.
std::string why_not_writable(const std::string& path);

}  // namespace beamgate::master
