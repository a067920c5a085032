// JSON: what is accepted is UTF-8 within the limits, and is the same value after it was written and read again; any text
// is a string when it is written as one.
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/json/value.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

size_t depth_of(const json::Value& value) {
  size_t deepest = 0;
  if (const auto* items = value.as_array()) {
    for (const json::Value& item : *items) deepest = std::max(deepest, depth_of(item));
    return deepest + 1;
  }
  if (const auto* members = value.as_object()) {
    for (const auto& member : *members) deepest = std::max(deepest, depth_of(member.second));
    return deepest + 1;
  }
  return 0;
}

}  // namespace

FUZZ_TARGET(json) {
  const json::Limits limits{.bytes = 1 << 16, .depth = 16, .values = 1'000};
  const auto first = json::parse(bytes, limits);
  if (first.ok()) {
    BG_ASSERT(bytes.find('\0') == bytes.npos);
    BG_ASSERT(bytes.size() <= limits.bytes && valid_utf8(bytes) && depth_of(first.value()) <= limits.depth);
    const std::string written = first.value().dump();
    const auto second = json::parse(written);
    BG_ASSERT(second.ok() && second.value().dump() == written);
  }
  std::string text;
  json::append_string(text, bytes);
  const auto string = json::parse(text);
  BG_ASSERT(string.ok() && string.value().is_string());
  if (valid_utf8(bytes)) BG_ASSERT(string.value().as_string() == bytes);
  else BG_ASSERT(valid_utf8(*string.value().as_string()));
}

}  // namespace beamgate::fuzz
