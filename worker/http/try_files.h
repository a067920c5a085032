// Try files: which of several files there is, or where to go when there is none.
//
// Source   nginx's try_files.  A name with "/" at its end is a directory.
// Cost     One look at the file system for each name, on the loop.
#pragma once

#include <cstdint>
#include <string>

#include "worker/http/exchange.h"

namespace beamgate::http {

struct TryOutcome {
  bool found = false;     // request.path names the file now.
  uint16_t status = 0;    // Not found: "=status" ...
  std::string elsewhere;  // ... or "/path?args" or "@location".
};

TryOutcome try_files(const config::TryFiles& files, Request& request, const record::Record& record);

}  // namespace beamgate::http
