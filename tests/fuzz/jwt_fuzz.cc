// JWT: a token is looked into only when its signature is right.  Input: a token as it is; or a header, LF and claims,
// which are signed first, so that what is behind the signature is reached as well.
#include "common/base/assert.h"
#include "common/crypto/crypto.h"
#include "common/crypto/jwt.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr std::string_view kSecret = "secret";
constexpr int64_t kNow = 1'700'000'000;

crypto::JwtVerifier make_verifier() {
  crypto::SigningKeys keys;
  keys.add_secret(std::string(kSecret));
  return {std::move(keys), "rooms", ""};
}

std::string sign(std::string_view header, std::string_view claims) {
  std::string out = crypto::base64url_encode(header) + '.' + crypto::base64url_encode(claims);
  out += '.' + crypto::base64url_encode(crypto::hmac_sha256(kSecret, out));
  return out;
}

void check(std::string_view token) {
  static const crypto::JwtVerifier verifier = make_verifier();
  const crypto::Jwt jwt = verifier.verify(token, kNow);
  BG_ASSERT(!crypto::text_of(jwt.status).empty());
  if (jwt.status == crypto::JwtStatus::Malformed || jwt.status == crypto::JwtStatus::NotSigned) return;
  const size_t dot = token.rfind('.');
  const auto signature = crypto::base64url_decode(token.substr(dot + 1));
  BG_ASSERT(signature == crypto::hmac_sha256(kSecret, token.substr(0, dot)));
  BG_ASSERT(token.size() <= crypto::JwtVerifier::kTokenBytesMax);
  if (!jwt.valid()) return;
  BG_ASSERT(jwt.claims.is_object() && jwt.claims.has("aud"));
  BG_ASSERT(jwt.expires_s == 0 || jwt.expires_s > kNow);
  crypto::claim_text(jwt.claims, "sub");
}

}  // namespace

FUZZ_TARGET(jwt) {
  check(bytes);
  Input input(bytes);
  const std::string_view header = input.line();
  check(sign(header, input.rest()));
  check(sign(R"({"alg":"HS256"})", bytes));
}

}  // namespace beamgate::fuzz
