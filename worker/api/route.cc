#include "worker/api/route.h"

#include "worker/api/location_path.h"
#include "worker/api/methods.h"

namespace beamgate::api {

Route route_of(const http::Request& request) { return route_of(path_below_location(request)); }

Route route_of(std::string_view rest) {
  using Kind = Route::Kind;
  constexpr std::string_view kConnections = "connections/";
  constexpr std::string_view kUsers = "users/";
  constexpr std::string_view kChannels = "channels/";
  constexpr std::string_view kTaps = "taps/";
  if (rest.empty()) return {Kind::Single, {}};
  if (rest == "batch") return {Kind::Batch, {}};
  if (Methods::known(rest)) return {Kind::Method, std::string(rest)};
  if (rest == "connections") return {Kind::Connections, {}};
  if (rest.starts_with(kConnections)) return {Kind::Connection, std::string(rest.substr(kConnections.size()))};
  if (rest.starts_with(kUsers) && rest.size() > kUsers.size()) {
    return {Kind::User, std::string(rest.substr(kUsers.size()))};
  }
  if (rest.starts_with(kChannels) && rest.size() > kChannels.size()) {
    return {Kind::Channel, std::string(rest.substr(kChannels.size()))};
  }
  if (rest.starts_with(kTaps) && rest.size() > kTaps.size()) return {Kind::Tap, std::string(rest.substr(kTaps.size()))};
  return {};
}

}  // namespace beamgate::api
