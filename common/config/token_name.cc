#include "common/config/token_name.h"

#include "common/config/loader.h"

namespace beamgate::config {

std::shared_ptr<const TokenRules> read_token_name(Setting& setting) {
  if (setting.arg() == "off") return nullptr;
  const auto& tokens = setting.loader.config->http.tokens;
  const auto found = tokens.find(setting.arg());
  if (found != tokens.end()) return found->second;
  setting.fail(0, "no token block of this name in http");
  return nullptr;
}

}  // namespace beamgate::config
