// Params: the names and values that a script is told, as FCGI_PARAMS carries them.
//
// Source   FastCGI 1.0 section 3.4; RFC 3875 section 4.1.18 for the names of HTTP fields.
#pragma once

#include <string>
#include <string_view>

namespace beamgate::fastcgi {

// Appends one pair, outside of any record.  REQUIRES: both below 2^31 bytes.
void append_param(std::string_view name, std::string_view value, std::string& out);

// "User-Agent" is HTTP_USER_AGENT.
std::string http_param_name(std::string_view field);

// The whole stream: records of these pairs and the empty one.
void append_params(std::string_view pairs, std::string& out);

}  // namespace beamgate::fastcgi
