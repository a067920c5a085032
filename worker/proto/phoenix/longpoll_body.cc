#include "worker/proto/phoenix/longpoll_body.h"

#include "common/crypto/crypto.h"
#include "common/json/value.h"

namespace beamgate::proto::phoenix {

std::optional<std::vector<PostedFrame>> parse_post(std::string_view body) {
  std::vector<PostedFrame> frames;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size());
    std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (frames.size() == kFramesMax) return std::nullopt;
    if (line.starts_with('[')) {
      frames.push_back({false, std::string(line)});
      continue;
    }
    auto bytes = crypto::base64_decode(line);
    if (!bytes) return std::nullopt;
    frames.push_back({true, std::move(*bytes)});
  }
  return frames;
}

std::string poll_answer(uint16_t status, std::string_view token, const std::vector<std::string>& messages) {
  std::string out = R"({"status":)" + std::to_string(status) + R"(,"token":)";
  json::append_string(out, token);
  out += R"(,"messages":[)";
  for (size_t i = 0; i < messages.size(); ++i) {
    if (i > 0) out += ',';
    json::append_string(out, messages[i]);
  }
  return out += "]}";
}

std::string status_answer(uint16_t status) {
  return R"({"status":)" + std::to_string(status) + "}";
}

}  // namespace beamgate::proto::phoenix
