#include "worker/api/body_kind.h"

#include <string>

#include "common/base/bytes.h"

namespace beamgate::api {

BodyKind body_kind(std::string_view content_type) {
  const std::string type = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  if (type == "application/json" || type.ends_with("+json")) return BodyKind::Json;
  if (type.empty() || type.starts_with("text/")) return BodyKind::Text;
  if (type == "application/xml" || type.ends_with("+xml")) return BodyKind::Text;
  if (type == "application/x-www-form-urlencoded") return BodyKind::Text;
  return BodyKind::Binary;
}

}  // namespace beamgate::api
