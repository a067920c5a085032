// Signing keys: what signatures of tokens are checked with: shared secrets and the keys of a JWK set (RFC 7517).
//
// Algorithms  HS256 with secrets and "oct" keys, RS256 with "RSA", ES256 with "EC" on P-256 (RFC 7518 section 3).  A
//             key serves the one algorithm of its kind, whatever a token says; keys of other kinds, and those that say
//             they are for something else ("use", "key_ops", "alg"), are left out.
// Limits      kKeysMax; RSA moduli of 2048 to 8192 bits.
// Thread      Immutable once filled.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"
#include "common/json/value.h"

namespace beamgate::crypto {

enum class SigningAlgorithm : uint8_t { Hs256, Rs256, Es256 };

std::optional<SigningAlgorithm> signing_algorithm(std::string_view name);  // "HS256"

class SigningKeys {
 public:
  static constexpr size_t kKeysMax = 64;

  SigningKeys();
  ~SigningKeys();
  SigningKeys(SigningKeys&&) noexcept;
  SigningKeys& operator=(SigningKeys&&) noexcept;

  // For HS256, and tokens with any key id or none.
  void add_secret(Secret secret);
  // Adds what a JWK set has of use.  False, with what is wrong in `error`, when it is none, or has nothing, or a key that
  // can't be used; then nothing is added.
  bool add_set(std::string_view text, std::string& error);

  // Whether a key of this algorithm has signed `bytes`.  id: of the key ("kid"), empty when none is named; a key with
  // another id isn't tried.  signature as in RFC 7518: for ES256 R and S, 32 bytes each.
  bool verify(SigningAlgorithm algorithm, std::string_view id, std::string_view bytes,
              std::string_view signature) const;

  bool empty() const { return keys_.empty(); }

 private:
  struct Key;

  bool add_keys_of(std::string_view set, std::string& error);
  bool add_key(const json::Value& key, std::string& error);

  std::vector<Key> keys_;
};

}  // namespace beamgate::crypto
