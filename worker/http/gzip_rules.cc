#include "worker/http/gzip_rules.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/config/regex.h"
#include "worker/http/accept_encoding.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

using config::Gzip;

const ResponseField* find_field(const ResponseHead& head, std::string_view name) {
  const auto found = std::find_if(head.fields.begin(), head.fields.end(),
                                  [name](const ResponseField& field) { return iequals(field.name, name); });
  return found == head.fields.end() ? nullptr : &*found;
}

bool list_has(const ResponseHead& head, std::string_view name, std::string_view member) {
  return std::any_of(head.fields.begin(), head.fields.end(), [&](const ResponseField& field) {
    return iequals(field.name, name) && list_contains(field.value, member);
  });
}

bool is_listed_type(const Gzip& gzip, const ResponseHead& head) {
  const ResponseField* field = find_field(head, "content-type");
  if (field == nullptr) return false;
  if (gzip.all_types) return true;
  const std::string type = to_lower(trim(std::string_view(field->value).substr(0, field->value.find(';'))));
  return std::find(gzip.types.begin(), gzip.types.end(), type) != gzip.types.end();
}

bool has_expired(const ResponseHead& head, int64_t now_unix_s) {
  const ResponseField* expires = find_field(head, "expires");
  if (expires == nullptr) return false;
  return parse_http_date(expires->value) < now_unix_s;  // A date that is none is in the past.
}

// nginx's gzip_proxied: what a request that came through another proxy is given.
bool is_allowed_for_proxies(const Gzip& gzip, const Request& request, const ResponseHead& head, int64_t now_unix_s) {
  const uint32_t allowed = gzip.proxied;
  if ((allowed & config::kProxiedAny) != 0) return true;
  const auto fits = [allowed](uint32_t condition, bool holds) { return (allowed & condition) != 0 && holds; };
  return fits(config::kProxiedExpired, has_expired(head, now_unix_s)) ||
         fits(config::kProxiedNoCache, list_has(head, "cache-control", "no-cache")) ||
         fits(config::kProxiedNoStore, list_has(head, "cache-control", "no-store")) ||
         fits(config::kProxiedPrivate, list_has(head, "cache-control", "private")) ||
         fits(config::kProxiedNoLastModified, find_field(head, "last-modified") == nullptr) ||
         fits(config::kProxiedNoEtag, find_field(head, "etag") == nullptr) ||
         fits(config::kProxiedAuth, request.has_field("authorization"));
}

bool is_disabled_client(const Gzip& gzip, const Request& request) {
  const std::string_view agent = request.field("user-agent");
  return std::any_of(gzip.disabled.begin(), gzip.disabled.end(), [agent](const auto& regex) {
    const Result<bool> matched = regex->match(agent);
    return !matched.ok() || matched.value();
  });
}

}  // namespace

bool may_be_gzipped(const Gzip& gzip, const ResponseHead& head) {
  if (!gzip.on || (head.status != 200 && head.status != 403 && head.status != 404)) return false;
  if (head.content_length.has_value() && *head.content_length < gzip.bytes_min) return false;
  if (find_field(head, "content-encoding") != nullptr || find_field(head, "content-range") != nullptr) return false;
  return is_listed_type(gzip, head) && !list_has(head, "cache-control", "no-transform");
}

bool depends_on_encoding(const Gzip& gzip, const ResponseHead& head) {
  if (head.status != 304) return may_be_gzipped(gzip, head);
  return gzip.on && (find_field(head, "content-type") == nullptr || is_listed_type(gzip, head));
}

bool may_get_gzip(const Gzip& gzip, const Request& request, const ResponseHead& head, int64_t now_unix_s) {
  if (request.version_minor < gzip.http_minor || !accepts_gzip(request)) return false;
  if (request.has_field("via") && !is_allowed_for_proxies(gzip, request, head, now_unix_s)) return false;
  return !is_disabled_client(gzip, request);
}

bool wants_gzip(const Gzip& gzip, const Request& request, const ResponseHead& head, int64_t now_unix_s) {
  return request.method != "HEAD" && may_be_gzipped(gzip, head) && may_get_gzip(gzip, request, head, now_unix_s);
}

void become_gzip(ResponseHead& head) {
  std::erase_if(head.fields, [](const ResponseField& field) {
    return iequals(field.name, "accept-ranges") || iequals(field.name, "content-md5") ||
           iequals(field.name, "digest") || iequals(field.name, "content-digest");
  });
  for (ResponseField& field : head.fields) {
    if (iequals(field.name, "etag") && !field.value.starts_with("W/")) field.value.insert(0, "W/");
  }
  head.fields.push_back({"Content-Encoding", "gzip"});
  head.content_length.reset();
}

void vary_by_encoding(ResponseHead& head) {
  if (list_has(head, "vary", "accept-encoding") || list_has(head, "vary", "*")) return;
  head.fields.push_back({"Vary", "Accept-Encoding"});
}

}  // namespace beamgate::http
