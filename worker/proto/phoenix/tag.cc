#include "worker/proto/phoenix/tag.h"

#include <algorithm>

#include "common/crypto/crypto.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr char kPushMark = '\x1e';
constexpr char kText = 't';
constexpr char kBinary = 'b';

}  // namespace

std::string encode_pushes(const std::vector<Push>& pushes) {
  std::string out;
  for (const Push& push : pushes) {
    out.append({kPushMark, push.binary ? kBinary : kText}).append(push.binary ? crypto::base64_encode(push.frame) : push.frame);
  }
  return out;
}

std::vector<Push> decode_pushes(std::string_view text) {
  std::vector<Push> pushes;
  while (text.size() >= 2) {
    const std::string_view push = text.substr(2, text.find(kPushMark, 2) - 2);
    if (text[1] == kText) pushes.push_back({false, std::string(push)});
    if (text[1] == kBinary) pushes.push_back({true, crypto::base64_decode(push).value_or("")});
    text.remove_prefix(2 + push.size());
  }
  return pushes;
}

std::string encode_tag(const Tag& tag) {
  std::string out(tag.join_ref);
  if (!tag.ref.empty()) out.append(1, '\n').append(tag.ref).append(1, '\n').append(tag.response).append(tag.pushes);
  return out;
}

Tag decode_tag(std::string_view text) {
  const size_t first = text.find('\n');
  if (first == std::string_view::npos) return {text, {}, {}};
  const size_t second = text.find('\n', first + 1);
  if (second == std::string_view::npos) return {text.substr(0, first), text.substr(first + 1), {}};
  const std::string_view rest = text.substr(second + 1);
  const size_t end = std::min(rest.find(kPushMark), rest.size());
  return {text.substr(0, first), text.substr(first + 1, second - first - 1), rest.substr(0, end), rest.substr(end)};
}

}  // namespace beamgate::proto::phoenix
