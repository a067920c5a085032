#include "worker/proto/phoenix/longpoll_token.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "worker/record/uid.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr size_t kUidDigits = 16;
constexpr size_t kSecretBytes = 16;

}  // namespace

std::string make_token(uint64_t uid) {
  char secret[kSecretBytes];
  crypto::fill_random(secret, sizeof secret);
  return record::format_uid(uid) + "." + to_hex({secret, sizeof secret});
}

std::optional<uint64_t> uid_of_token(std::string_view token) {
  if (token.size() != kUidDigits + 1 + 2 * kSecretBytes || token[kUidDigits] != '.') return std::nullopt;
  return record::parse_uid(token.substr(0, kUidDigits));
}

}  // namespace beamgate::proto::phoenix
