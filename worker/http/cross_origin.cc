#include "worker/http/cross_origin.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::http {
namespace {

constexpr std::string_view kPreflightSeconds = "7200";  // The most that Chromium remembers.

// "https://*.example.com" stands for every host below example.com, not for example.com itself.
bool origin_matches(std::string_view origin, std::string_view pattern) {
  constexpr std::string_view kWildcard = "://*.";
  const size_t wildcard = pattern.find(kWildcard);
  if (wildcard == std::string_view::npos) return iequals(origin, pattern);
  const size_t scheme = wildcard + 3;  // With "://".
  const std::string_view suffix = pattern.substr(scheme + 1);
  if (origin.size() <= scheme + suffix.size()) return false;
  const std::string_view host = origin.substr(scheme);
  return iequals(origin.substr(0, scheme), pattern.substr(0, scheme)) && host.front() != '.' &&
         iequals(host.substr(host.size() - suffix.size()), suffix);
}

}  // namespace

bool origin_allowed(const Request& request, const std::vector<std::string>& origins) {
  if (origins.empty() || !request.has_field("Origin")) return true;
  const std::string_view origin = request.field("Origin");
  return std::any_of(origins.begin(), origins.end(),
                     [&](const std::string& pattern) { return origin_matches(origin, pattern); });
}

std::vector<ResponseField> cross_origin_fields(const Request& request, const config::CrossOrigin& settings,
                                               std::string_view exposed_fields) {
  std::vector<ResponseField> fields;
  const bool any = settings.origins.empty();
  if (!any) fields.push_back({"Vary", "Origin"});
  if (!request.has_field("Origin") || !origin_allowed(request, settings.origins)) return fields;
  fields.push_back({"Access-Control-Allow-Origin", any ? "*" : std::string(request.field("Origin"))});
  if (!any && settings.credentials) fields.push_back({"Access-Control-Allow-Credentials", "true"});
  if (!exposed_fields.empty()) fields.push_back({"Access-Control-Expose-Headers", std::string(exposed_fields)});
  return fields;
}

bool answer_preflight(Exchange& exchange, const config::CrossOrigin& settings, std::string_view allowed_fields) {
  const Request& request = exchange.request();
  if (request.method != "OPTIONS" || !request.has_field("Access-Control-Request-Method")) return false;
  std::vector<ResponseField> fields = cross_origin_fields(request, settings);
  fields.push_back({"Access-Control-Allow-Methods", "GET"});
  fields.push_back({"Access-Control-Allow-Headers", std::string(allowed_fields)});
  fields.push_back({"Access-Control-Max-Age", std::string(kPreflightSeconds)});
  exchange.respond(204, {}, {}, std::move(fields));
  return true;
}

}  // namespace beamgate::http
