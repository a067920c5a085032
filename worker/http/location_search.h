// Location search: nginx's matching of a normalised path against a server's locations.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::config {
class Captures;
}

namespace beamgate::http {

struct LocationMatch {
  const config::Location* location = nullptr;  // Null: none matches.
  uint16_t status = 0;                         // 500: a regex gave up.  301: the path lacks its last slash.
};

// Captures of the regex that matched are appended to `captures`.
LocationMatch find_location(const std::vector<config::Location>& locations, std::string_view path,
                            std::vector<std::pair<std::string, std::string>>& captures);

// Groups "1" to "9" and the named ones.
void append_captures(const config::Regex& regex, const config::Captures& found,
                     std::vector<std::pair<std::string, std::string>>& captures);

}  // namespace beamgate::http
