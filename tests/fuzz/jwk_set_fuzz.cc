// JWK set: a set that is refused says why; no key of a hostile set accepts a signature that nobody made.
#include "common/base/assert.h"
#include "common/crypto/signing_keys.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {

FUZZ_TARGET(jwk_set) {
  crypto::SigningKeys keys;
  std::string error;
  const bool good = keys.add_set(bytes, error);
  BG_ASSERT(good != keys.empty() && good == error.empty());
  const std::string signature(64, 's');
  for (const auto algorithm : {crypto::SigningAlgorithm::Hs256, crypto::SigningAlgorithm::Rs256, crypto::SigningAlgorithm::Es256}) {
    BG_ASSERT(!keys.verify(algorithm, "", "text", signature));
    BG_ASSERT(!keys.verify(algorithm, "1", "text", ""));
  }
}

}  // namespace beamgate::fuzz
