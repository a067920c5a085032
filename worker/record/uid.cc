#include "worker/record/uid.h"

namespace beamgate::record {

std::string format_uid(uint64_t uid) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(16, '0');
  for (size_t i = 0; i < out.size(); ++i) out[i] = kDigits[uid >> (60 - 4 * i) & 15];
  return out;
}

std::string format_uid_or_none(uint64_t uid) { return uid == 0 ? "-" : format_uid(uid); }

std::optional<uint64_t> parse_uid(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  uint64_t uid = 0;
  for (const char c : text) {
    uid <<= 4;
    if (c >= '0' && c <= '9') {
      uid |= static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      uid |= static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return uid;
}

}  // namespace beamgate::record
