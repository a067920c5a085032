// Authority: the host and port of a Host field or of an absolute target (RFC 3986 section 3.2, RFC 9110
// section 7.2).
#pragma once

#include <string>
#include <string_view>

namespace beamgate::http {

struct Authority {
  std::string host;       // Lower case; an IPv6 literal keeps its brackets; one trailing dot is removed.
  std::string_view port;  // Digits; empty when none was given.
};

// Accepts host names (letters, digits, "-", ".", "_", "~"), IPv4 and bracketed IPv6 addresses.  Refuses user
// info, empty labels and everything else that one reader could take for another host than the next.
bool parse_authority(std::string_view text, Authority& out);

}  // namespace beamgate::http
