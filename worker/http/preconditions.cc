#include "worker/http/preconditions.h"

#include <algorithm>
#include <cstdio>

#include "common/base/bytes.h"
#include "common/base/clock.h"

namespace beamgate::http {
namespace {

// Weak comparison ignores "W/", strong comparison lets no weak tag match.
bool tag_matches(std::string_view candidate, std::string_view etag, bool weak) {
  if (candidate.starts_with("W/")) {
    if (!weak) return false;
    candidate.remove_prefix(2);
  }
  return candidate == etag;
}

// Our own tags hold no comma, so a list may be cut at each.
bool list_matches(std::string_view list, std::string_view etag, bool weak) {
  if (trim(list) == "*") return true;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (tag_matches(trim(list.substr(0, comma)), etag, weak)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool any_field_matches(const Request& request, std::string_view name, std::string_view etag, bool weak) {
  return std::any_of(request.fields.begin(), request.fields.end(), [&](const Field& field) {
    return iequals(field.name, name) && list_matches(field.value, etag, weak);
  });
}

}  // namespace

std::string make_etag(int64_t modified, uint64_t bytes) {
  char text[48];
  const int length = snprintf(text, sizeof text, "\"%llx-%llx\"", static_cast<unsigned long long>(modified),
                              static_cast<unsigned long long>(bytes));
  return std::string(text, static_cast<size_t>(length));
}

uint16_t check_preconditions(const Request& request, const Validators& validators) {
  if (request.has_field("if-match")) {
    if (!any_field_matches(request, "if-match", validators.etag, false)) return 412;
  } else if (request.has_field("if-unmodified-since")) {
    const int64_t since = parse_http_date(std::string(request.field("if-unmodified-since")));
    if (since >= 0 && validators.modified > since) return 412;
  }
  if (request.has_field("if-none-match")) {
    return any_field_matches(request, "if-none-match", validators.etag, true) ? 304 : 0;
  }
  if (!request.has_field("if-modified-since")) return 0;
  const int64_t since = parse_http_date(std::string(request.field("if-modified-since")));
  return since >= 0 && validators.modified <= since ? 304 : 0;
}

bool range_applies(const Request& request, const Validators& validators) {
  if (!request.has_field("if-range")) return true;
  const std::string_view condition = request.field("if-range");
  if (condition.starts_with('"') || condition.starts_with("W/")) {
    return tag_matches(condition, validators.etag, false);
  }
  return parse_http_date(std::string(condition)) == validators.modified;
}

}  // namespace beamgate::http
