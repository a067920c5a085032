// Target: the request target and the path it means (RFC 9112 section 3.2, RFC 3986 section 5.2.4).
//
// Errors   A status, 0 when all is well: 400 for what is malformed or would leave the root.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::http {

struct Target {
  std::string_view authority;  // Of an absolute-form target; else empty.
  std::string_view path;       // As received, without the query; "/" where the target has none.
  std::string_view query;      // Without "?".
};

// Origin form, absolute form (http and https), and "*" for OPTIONS.
uint16_t split_target(std::string_view method, std::string_view target, Target& out);

// Percent-decodes, merges slashes and removes dot segments, decoded ones too, as nginx does: what comes out
// is what a file system would make of it.  False for a malformed escape, a NUL, a path above the root, or one
// that doesn't begin there.
bool normalise_path(std::string_view path, std::string& out);

// The reverse: a path as it may stand in a Location field, everything else than unreserved characters, "/"
// and the harmless of the reserved ones percent-encoded.
std::string encode_path(std::string_view path);

}  // namespace beamgate::http
