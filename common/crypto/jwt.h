// JWT: signed tokens (RFC 7519, in the compact form of RFC 7515) that say who a client is and what it may do.
//
// Accepted   HS256, RS256 and ES256.  The algorithm is the key's, and a token has to name the same: neither "none" nor
//            a public key taken for a secret gets anywhere.  A token with "crit" is refused (RFC 7515 section 4.1.11).
// Times      "exp" is the first second in which it is not valid any more; "nbf" and a clock that is ahead of ours by
//            kClockSkewS are put up with.
// Limits     kTokenBytesMax; what the signature covers is looked into only once the signature is right.
// Thread     Any; immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/crypto/signing_keys.h"
#include "common/json/value.h"

namespace beamgate::crypto {

enum class JwtStatus : uint8_t {
  Valid,
  Malformed,     // No token, or too long, or a claim of a wrong type.
  NotSigned,     // By no key that is known.
  Expired,
  NotYet,
  WrongAudience,
  WrongIssuer,
};

struct Jwt {
  JwtStatus status = JwtStatus::Malformed;
  json::Value claims;      // An object; only of a valid token, and of one that is merely expired.
  int64_t expires_s = 0;   // Unix time; 0: never.

  bool valid() const { return status == JwtStatus::Valid; }
};

// For logs: "expired".
std::string_view text_of(JwtStatus status);

class JwtVerifier {
 public:
  static constexpr size_t kTokenBytesMax = 16 << 10;
  static constexpr int64_t kClockSkewS = 60;

  // audience: what "aud" has to contain; issuer: what "iss" has to be.  Empty: anything.
  JwtVerifier(SigningKeys keys, std::string audience, std::string issuer)
      : keys_(std::move(keys)), audience_(std::move(audience)), issuer_(std::move(issuer)) {}

  Jwt verify(std::string_view token, int64_t now_s) const;

 private:
  JwtStatus check_claims(Jwt& token, int64_t now_s) const;

  const SigningKeys keys_;
  const std::string audience_;
  const std::string issuer_;
};

// A claim that names somebody: a string, or an integer as its digits; empty when it is neither or missing.
std::string claim_text(const json::Value& claims, std::string_view name);

}  // namespace beamgate::crypto
