#include "worker/api/api_key.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::api {
namespace {

std::string_view shown_key(const http::Request& request) {
  if (request.has_field("X-API-Key")) return request.field("X-API-Key");
  const std::string_view authorization = request.field("Authorization");
  const size_t space = authorization.find(' ');
  if (space == std::string_view::npos || !iequals(authorization.substr(0, space), "apikey")) return {};
  return trim(authorization.substr(space + 1));
}

}  // namespace

Access check_access(const http::Request& request, const std::vector<Secret>& keys) {
  if (keys.empty()) return request.has_field("Origin") ? Access::BrowserRefused : Access::Granted;

  const std::string_view shown = shown_key(request);
  bool equal = false;
  for (const Secret& key : keys) {
    // An empty key would let everybody in who shows none.
    equal |= crypto::constant_time_equal(shown, key) && !key.empty();
  }
  return equal ? Access::Granted : Access::KeyWanted;
}

}  // namespace beamgate::api
