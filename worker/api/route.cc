#include "worker/api/route.h"

#include "worker/api/methods.h"

namespace beamgate::api {
namespace {

std::string_view below_location(const http::Request& request) {
  std::string_view path = request.path;
  const config::Location& location = *request.location;
  const bool regex =
      location.match == config::LocationMatch::Regex || location.match == config::LocationMatch::RegexNoCase;
  if (!regex) {
    path.remove_prefix(std::min(path.size(), location.pattern.size()));
  } else {
    for (const auto& [name, value] : request.captures) {
      if (name != "1") continue;
      const size_t at = path.find(value);
      if (at != std::string_view::npos) path.remove_prefix(at + value.size());
    }
  }
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace

Route route_of(const http::Request& request) {
  using Kind = Route::Kind;
  constexpr std::string_view kConnections = "connections/";
  constexpr std::string_view kUsers = "users/";
  const std::string_view rest = below_location(request);
  if (rest.empty()) return {Kind::Single, {}};
  if (rest == "batch") return {Kind::Batch, {}};
  if (Methods::known(rest)) return {Kind::Method, std::string(rest)};
  if (rest.starts_with(kConnections)) return {Kind::Connection, std::string(rest.substr(kConnections.size()))};
  if (rest.starts_with(kUsers) && rest.size() > kUsers.size()) {
    return {Kind::User, std::string(rest.substr(kUsers.size()))};
  }
  return {};
}

}  // namespace beamgate::api
