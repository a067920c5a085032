// Field: directives that name an HTTP field and give it a value with variables.
//
// Errors   A name that is no token, or a value with a line break, is refused: it could forge a field.
#pragma once

#include <string_view>
#include <vector>

#include "common/config/setting.h"

namespace beamgate::config {

bool is_token(std::string_view text);  // RFC 9110 section 5.6.2.

// Appends the field of arguments 0 and 1, or reports an error.
void store_field(Setting& setting, std::vector<NameValue>& to);

}  // namespace beamgate::config
