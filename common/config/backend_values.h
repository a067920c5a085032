// Backend values: what the directives about servers read alike, whatever is spoken to the servers.
//
// Errors   The setting has reported them, or `error` completes "in ... directive: ".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config/model.h"
#include "common/config/setting.h"

namespace beamgate::config {

inline constexpr std::string_view kNextUpstreamSyntax =
    "error | timeout | invalid_header | http_500 | http_502 | http_503 | http_504 | http_403 | http_404 | "
    "http_429 | non_idempotent | off ...";

// The upstream block of this name, or one made of the authority's addresses.  default_port: of an authority that
// has none; 0: it must have one.  Null, with an error, when there is neither.
std::shared_ptr<const Upstream> find_upstream(Setting& setting, const std::string& authority, uint16_t default_port,
                                              std::string& error);
bool has_port(const std::string& authority);

void read_next_upstream(Setting& setting, uint32_t& mask);

// Names of fields, one list per directive; the first of a block replaces what was inherited.
void read_field_name(Setting& setting, std::vector<std::string>& to);

template <auto Action>
void store_next_upstream(Setting& setting) {
  read_next_upstream(setting, (setting.frame.location->*Action).next_upstream);
}

template <auto Action>
void store_hidden(Setting& setting) {
  read_field_name(setting, (setting.frame.location->*Action).hide_headers);
}

template <auto Action>
void store_passed(Setting& setting) {
  read_field_name(setting, (setting.frame.location->*Action).pass_headers);
}

}  // namespace beamgate::config
