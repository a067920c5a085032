// Rewriter: runs a script ("set", "rewrite", "return", "break", "if") on a request.
//
// Source   nginx's rewrite directives: regular expressions see the normalised path; what a rewrite puts in its place
//          goes on as a path, its arguments before the request's own.  Captures are encoded where they become part
//          of arguments or of a redirect.
// Limits   A script has no loops; how often one search follows another is for the caller (kSearchesMax).
// Errors   Failed: a regular expression gave up, or the path got too long or is none (500).
#pragma once

#include <cstdint>
#include <string>

#include "common/config/script.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

struct Direction {
  enum class Next : uint8_t {
    Go,        // On with the location as it is.
    Search,    // The path is another one: its location is to be searched.
    Answer,    // "return"
    Redirect,  // "rewrite ... redirect" or "permanent"
    Failed,
  };

  Next next = Next::Go;
  const config::ReturnAction* answer = nullptr;
  uint16_t status = 0;   // Redirect: 301 or 302 ...
  std::string location;  // ... and where to.
};

inline constexpr int kSearchesMax = 10;           // nginx's.
inline constexpr size_t kPathBytesMax = 64 << 10;  // Of a rewritten path, and of its arguments.

// Changes request.path, query, captures and location as the script says.
Direction run_script(const config::Script& script, Request& request, const record::Record& record);

// Goes to "path?args", as try_files and error_page say it.  False: it is no path.
bool go_to(std::string_view uri, Request& request);

}  // namespace beamgate::http
