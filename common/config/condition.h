// Condition: what stands in the parentheses of "if", read.
//
// Grammar  nginx's: ($x), ($x = text), ($x != text), ($x ~ regex) and ~*, !~, !~*, (-f path) and -d, -e, -x, each with
//          "!" in front.  The parentheses may touch what is in them.
#pragma once

#include "common/config/script.h"
#include "common/config/setting.h"

namespace beamgate::config {

// Of the directive's arguments.  False after an error was reported.
bool read_condition(Setting& setting, Condition& out);

// Compiles argument i and makes the names of its groups known; null after an error was reported.
std::shared_ptr<const Regex> compile_argument(Setting& setting, size_t i, std::string_view pattern, bool ignore_case);

}  // namespace beamgate::config
