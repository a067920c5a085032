#include "common/config/field.h"

namespace beamgate::config {

bool is_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

void store_field(Setting& setting, std::vector<NameValue>& to) {
  if (!is_token(setting.arg(0))) return setting.fail(0, "expected the name of an HTTP field");
  if (setting.arg(1).find_first_of("\r\n") != std::string::npos) {
    return setting.fail(1, "a field's value has no line break");
  }
  NameValue field;
  field.name = setting.arg(0);
  if (setting.parse_template(1, field.value)) to.push_back(std::move(field));
}

}  // namespace beamgate::config
