#include "worker/api/dashboard/access.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "common/base/bytes.h"
#include "worker/http/client_address.h"

namespace beamgate::api::dashboard {
namespace {

constexpr std::string_view kProxyFields[] = {
    "Via", "Forwarded", "X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP",
};
constexpr std::string_view kForwardedFields = "x-forwarded-";

bool is_loopback(const http::ClientAddress& address) {
  constexpr unsigned char kLoopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (address.family == AF_INET) return address.bytes[0] == 127;
  return address.family == AF_INET6 && memcmp(address.bytes, kLoopback6, sizeof kLoopback6) == 0;
}

bool is_loopback_text(std::string_view text) {
  http::ClientAddress address;
  return http::ClientAddress::parse(text, address) && is_loopback(address);
}

bool was_passed_on(const http::Field& field) {
  const bool forwarded = field.name.size() > kForwardedFields.size() &&
                         iequals(field.name.substr(0, kForwardedFields.size()), kForwardedFields);
  return forwarded || std::any_of(std::begin(kProxyFields), std::end(kProxyFields),
                                  [&](std::string_view name) { return iequals(field.name, name); });
}

}  // namespace

const char* why_not_local(const http::Request& request, const record::Record& record) {
  if (request.announced.present != 0) return "a proxy speaks for the client";
  if (!is_loopback(http::ClientAddress::of(record))) return "the client is not on this machine";
  if (!is_loopback_text(request.remote_address)) return "a proxy speaks for a client elsewhere";
  if (std::any_of(request.fields.begin(), request.fields.end(), was_passed_on)) return "a proxy has passed the request on";
  if (request.host != "localhost" && !is_loopback_text(request.host)) return "Host is no name of this machine";
  return nullptr;
}

bool same_origin(const http::Request& request) {
  if (request.has_field("Sec-Fetch-Site")) return request.field("Sec-Fetch-Site") == "same-origin";
  if (!request.has_field("Origin")) return true;
  const std::string_view origin = request.field("Origin");
  const size_t host = origin.find("://");
  return host != origin.npos && iequals(origin.substr(host + 3), request.field("Host"));
}

bool from_own_script(const http::Request& request) { return same_origin(request) && request.has_field(kScriptField); }

}  // namespace beamgate::api::dashboard
