// Server states: what this worker thinks of each server of each upstream, as rows for status and metrics.
//
// Each worker finds out for itself, so that two may differ for a moment.
// Limits     kServerStatesMax rows; what comes after is left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/upstream/pool.h"

namespace beamgate::upstream {

inline constexpr size_t kServerStatesMax = 1'000;

struct ServerState {
  std::string upstream;
  std::string server;
  std::string_view state;  // "up"; "aside" after failures; "unhealthy" by its check; "down" as configured.
  bool backup = false;
  uint32_t active = 0;     // Requests on it now.
  uint64_t requests = 0;   // Since this worker began.
  uint64_t failures = 0;
};

std::vector<ServerState> server_states(const Pool& pool, int64_t now_ms);

}  // namespace beamgate::upstream
