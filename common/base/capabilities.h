// Capabilities: what a process may do beyond its user's rights (capabilities(7)).  All of this is irrevocable.
#pragma once

#include "common/base/result.h"

namespace beamgate {

// None may be gained any more by executing anything.  Needs CAP_SETPCAP; without it nothing changes.
void drop_bounding_set();

// Effective, permitted, inheritable and ambient.
Result<void> drop_capabilities();

// No program that is executed from here on gets more rights than we have: set-user-ID and file capabilities are ignored.
Result<void> forbid_new_privileges();

}  // namespace beamgate
