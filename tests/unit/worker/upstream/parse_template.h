// parse_template(): the text of a directive with variables, as its template.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "common/config/template.h"

namespace beamgate::upstream {

inline config::Template parse_template(const std::string& text) {
  config::Template parsed;
  std::string error;
  EXPECT_TRUE(config::Template::parse(text, parsed, error)) << error;
  return parsed;
}

}  // namespace beamgate::upstream
