// Variables: the names that a template may use; values are the business of who expands it.
#pragma once

#include <span>
#include <string_view>

namespace beamgate::config {

// True for the fixed names, for $1 to $9, and for the families http_, sent_http_, upstream_http_, arg_, cookie_ with a rest.
bool is_known_variable(std::string_view name);

std::span<const std::string_view> variable_names();  // The fixed ones, sorted.
std::span<const std::string_view> variable_prefixes();

}  // namespace beamgate::config
