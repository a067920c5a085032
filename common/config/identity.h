// Identity: the ids by which connections find their location in another generation of the configuration.
//
// Algorithm  A location's id is a hash of its server's names and addresses, sorted, and of the matchers that
//            lead to it, as written.  Two that are equal (a server shadowed by another) get an ordinal more.
#pragma once

#include "common/config/model.h"

namespace beamgate::config {

void assign_ids(Http& http);

}  // namespace beamgate::config
