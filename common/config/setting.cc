#include "common/config/setting.h"

#include <algorithm>

#include "common/config/loader.h"
#include "common/config/variables.h"

namespace beamgate::config {

void Setting::fail(size_t i, const std::string& expected) {
  const bool hidden = row.secret;
  loader.diagnostics.error(at(i), "invalid value " + (hidden ? "" : "\"" + arg(i) + "\" ") + "in \"" +
                                      std::string(row.name) + "\" directive: " + expected);
}

void Setting::error(const std::string& message) {
  loader.diagnostics.error(statement.name.at, message);
}

void Setting::error_at(Position at, const std::string& message) {
  loader.diagnostics.error(at, message);
}

void Setting::warn_at(Position at, const std::string& message) {
  loader.diagnostics.warn(at, message);
}

bool Setting::is_secret(std::string_view secret, size_t bytes_safe) {
  if (secret.empty()) return fail(0, "it may not be empty"), false;
  if (secret.size() < bytes_safe) {
    warn_at(at(), "this \"" + std::string(row.name) + "\" is shorter than " + std::to_string(bytes_safe) +
                      " bytes and can be guessed");
  }
  return true;
}

bool Setting::first(std::string_view key) {
  return frame.begun.insert(key).second;
}

bool Setting::parse_template(size_t i, std::string_view text, Template& out) {
  std::string why;
  if (!Template::parse(text, out, why)) {
    fail(i, why);
    return false;
  }
  loader.check_variables(frame, out, at(i));
  return true;
}

std::string Setting::declare_variable(size_t i) {
  const std::string name = arg(i).starts_with('$') ? arg(i).substr(1) : "";
  const bool well_formed = !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
                           std::all_of(name.begin(), name.end(), is_variable_byte);
  if (!well_formed || is_known_variable(name)) {
    fail(i, well_formed ? "this variable has its value from the request" : "expected the name of a variable, with \"$\"");
    return {};
  }
  loader.declared.insert(name);
  return name;
}

std::string Setting::path(size_t i) {
  if (arg(i).empty()) fail(i, "expected a path");
  if (arg(i).find('$') != std::string::npos) fail(i, "variables are not supported in this path");
  replace(i, loader.absolute(arg(i)));
  return arg(i);
}

bool Setting::choose(Action action) {
  if (frame.action != nullptr) {
    error("\"" + statement.name.text + "\" is a second action for this location, after \"" +
          frame.action->name.text + "\" at " + loader.place_of(*frame.action));
    return false;
  }
  frame.action = &statement;
  frame.location->action = action;
  return true;
}

}  // namespace beamgate::config
