#include "worker/proto/phoenix/tag.h"

namespace beamgate::proto::phoenix {

std::string encode_tag(const Tag& tag) {
  std::string out(tag.join_ref);
  if (!tag.ref.empty()) out.append(1, '\n').append(tag.ref).append(1, '\n').append(tag.response);
  return out;
}

Tag decode_tag(std::string_view text) {
  const size_t first = text.find('\n');
  if (first == std::string_view::npos) return {text, {}, {}};
  const size_t second = text.find('\n', first + 1);
  if (second == std::string_view::npos) return {text.substr(0, first), text.substr(first + 1), {}};
  return {text.substr(0, first), text.substr(first + 1, second - first - 1), text.substr(second + 1)};
}

}  // namespace beamgate::proto::phoenix
