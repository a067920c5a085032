// Arguments: members of a command that may be left out, or null, which is the same; those of another type are a mistake
// of whoever sends them, and not to be guessed at.
//
// Each leaves `out` alone when the member is not there; false, and a problem to tell of: it has another type.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/json/value.h"

namespace beamgate::api {

bool read_text(const json::Value& params, std::string_view name, std::string_view& out);
bool read_flag(const json::Value& params, std::string_view name, bool& out);
bool read_number(const json::Value& params, std::string_view name, int64_t& out);

}  // namespace beamgate::api
