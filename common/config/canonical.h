// Canonical text: statements written again, includes expanded, names resolved, paths absolute.
//
// Reading it yields the same Config, in any process and directory.  Secrets are in clear.
#pragma once

#include <string>
#include <vector>

#include "common/config/statement.h"

namespace beamgate::config {

std::string canonical_text(const std::vector<Statement>& statements);

}  // namespace beamgate::config
