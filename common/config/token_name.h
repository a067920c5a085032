// Token name: the argument of directives that name a token block.
#pragma once

#include <memory>

#include "common/config/model.h"
#include "common/config/setting.h"

namespace beamgate::config {

// "name | off".  Null for "off", and after an error.
std::shared_ptr<const TokenRules> read_token_name(Setting& setting);

}  // namespace beamgate::config
