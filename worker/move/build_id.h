// Build id: tells one build from another on the wire.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/version.h"

namespace beamgate::move {

inline uint64_t build_id() { return stable_hash(BEAMGATE_VERSION " " BEAMGATE_BUILD_DETAILS); }

}  // namespace beamgate::move
