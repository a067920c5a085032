#include "worker/hook/signature.h"

#include "common/crypto/crypto.h"

namespace beamgate::hook {

std::string sign(const std::vector<Secret>& keys, std::string_view id, int64_t timestamp,
                 std::string_view body) {
  std::string out;
  if (keys.empty()) return out;
  std::string signed_text;
  signed_text.reserve(id.size() + body.size() + 24);
  signed_text.append(id).append(1, '.').append(std::to_string(timestamp)).append(1, '.').append(body);
  for (const std::string& key : keys) {
    if (!out.empty()) out += ' ';
    out += "v1,";
    out += crypto::base64_encode(crypto::hmac_sha256(key, signed_text));
  }
  return out;
}

}  // namespace beamgate::hook
