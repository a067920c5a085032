#include "common/crypto/signing_keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "common/crypto/crypto.h"

namespace beamgate::crypto {
namespace {

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};

using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Free<BN_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;

constexpr size_t kCoordinateBytes = 32;  // Of P-256.
constexpr size_t kModulusBytesMin = 256;
constexpr size_t kModulusBytesMax = 1024;
constexpr size_t kExponentBytesMax = 8;

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

NumberPtr number(std::string_view big_endian) {
  return NumberPtr(BN_bin2bn(octets(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

KeyPtr make_key(const char* kind, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const ContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return KeyPtr(key);
}

KeyPtr rsa_key(std::string_view modulus, std::string_view exponent) {
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  const NumberPtr n = number(modulus);
  const NumberPtr e = number(exponent);
  if (builder == nullptr || n == nullptr || e == nullptr || !BN_is_odd(e.get()) || BN_is_one(e.get())) return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1) return nullptr;
  if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) return nullptr;
  return make_key("RSA", builder.get());
}

// Null as well for coordinates that are no point of the curve.
KeyPtr p256_key(std::string_view x, std::string_view y) {
  const std::string point = std::string("\x04").append(x).append(y);
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr) return nullptr;
  if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1) return nullptr;
  if (OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return nullptr;
  }
  return make_key("EC", builder.get());
}

// OpenSSL wants R and S as an ASN.1 sequence.
std::string asn1_of(std::string_view signature) {
  const std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>> parts(ECDSA_SIG_new());
  NumberPtr r = number(signature.substr(0, kCoordinateBytes));
  NumberPtr s = number(signature.substr(kCoordinateBytes));
  if (parts == nullptr || r == nullptr || s == nullptr) return {};
  if (ECDSA_SIG_set0(parts.get(), r.get(), s.get()) != 1) return {};
  r.release(), s.release();
  std::string out(2 * kCoordinateBytes + 16, '\0');
  auto* end = reinterpret_cast<unsigned char*>(out.data());
  const int length = i2d_ECDSA_SIG(parts.get(), &end);
  out.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return out;
}

bool verify_with(EVP_PKEY* key, std::string_view bytes, std::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
  const bool valid = context != nullptr &&
                     EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
                     EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(bytes),
                                      bytes.size()) == 1;
  ERR_clear_error();
  return valid;
}

std::optional<std::string> decoded(const json::Value& key, std::string_view name) {
  const auto text = key.get_string(name);
  return text ? base64url_decode(*text) : std::nullopt;
}

// A key may say what it is for (RFC 7517 sections 4.2 to 4.4).
bool for_verifying(const json::Value& key, std::string_view algorithm) {
  if (key.has("use") && key.get_string("use") != "sig") return false;
  if (key.has("alg") && key.get_string("alg") != algorithm) return false;
  const json::Value::Array* operations = key.get_array("key_ops");
  if (operations == nullptr) return !key.has("key_ops");
  for (const json::Value& operation : *operations) {
    if (operation.as_string() == "verify") return true;
  }
  return false;
}

std::string_view name_of(SigningAlgorithm algorithm) {
  switch (algorithm) {
    case SigningAlgorithm::Hs256: return "HS256";
    case SigningAlgorithm::Rs256: return "RS256";
    case SigningAlgorithm::Es256: return "ES256";
  }
  return {};
}

// The algorithm that a key's kind is used with here.
std::optional<SigningAlgorithm> algorithm_of(const json::Value& key) {
  const auto kind = key.get_string("kty");
  if (kind == "oct") return SigningAlgorithm::Hs256;
  if (kind == "RSA") return SigningAlgorithm::Rs256;
  if (kind == "EC" && key.get_string("crv") == "P-256") return SigningAlgorithm::Es256;
  return std::nullopt;
}

}  // namespace

struct SigningKeys::Key {
  SigningAlgorithm algorithm = SigningAlgorithm::Hs256;
  std::string id;
  Secret secret;       // Hs256
  KeyPtr key;          // Of the others.
};

SigningKeys::SigningKeys() = default;
SigningKeys::~SigningKeys() = default;
SigningKeys::SigningKeys(SigningKeys&&) noexcept = default;
SigningKeys& SigningKeys::operator=(SigningKeys&&) noexcept = default;

std::optional<SigningAlgorithm> signing_algorithm(std::string_view name) {
  for (const auto algorithm : {SigningAlgorithm::Hs256, SigningAlgorithm::Rs256, SigningAlgorithm::Es256}) {
    if (name == name_of(algorithm)) return algorithm;
  }
  return std::nullopt;
}

void SigningKeys::add_secret(Secret secret) {
  BG_ASSERT(!secret.empty());
  Key& key = keys_.emplace_back();
  key.secret = std::move(secret);
}

bool SigningKeys::add_set(std::string_view text, std::string& error) {
  const size_t before = keys_.size();
  if (add_keys_of(text, error)) return true;
  keys_.erase(keys_.begin() + static_cast<ptrdiff_t>(before), keys_.end());
  return false;
}

bool SigningKeys::add_keys_of(std::string_view text, std::string& error) {
  const auto set = json::parse(text);
  if (!set) {
    error = set.error().message();
    return false;
  }
  const json::Value::Array* keys = set.value().get_array("keys");
  if (keys == nullptr) {
    error = "it has no array \"keys\"";
    return false;
  }
  const size_t before = keys_.size();
  for (const json::Value& key : *keys) {
    if (!add_key(key, error)) return false;
    if (keys_.size() > kKeysMax) {
      error = "more than " + std::to_string(kKeysMax) + " keys";
      return false;
    }
  }
  if (keys_.size() > before) return true;
  error = "it has no key for HS256, RS256 or ES256";
  return false;
}

bool SigningKeys::add_key(const json::Value& key, std::string& error) {
  const auto algorithm = algorithm_of(key);
  if (!algorithm || !for_verifying(key, name_of(*algorithm))) return true;
  Key made;
  made.algorithm = *algorithm;
  made.id = key.get_string("kid").value_or("");
  if (*algorithm == SigningAlgorithm::Hs256) {
    made.secret = decoded(key, "k").value_or("");
  } else if (*algorithm == SigningAlgorithm::Rs256) {
    const auto modulus = decoded(key, "n");
    const auto exponent = decoded(key, "e");
    if (modulus && exponent && modulus->size() >= kModulusBytesMin && modulus->size() <= kModulusBytesMax &&
        exponent->size() <= kExponentBytesMax) {
      made.key = rsa_key(*modulus, *exponent);
    }
  } else {
    const auto x = decoded(key, "x");
    const auto y = decoded(key, "y");
    if (x && y && x->size() == kCoordinateBytes && y->size() == kCoordinateBytes) made.key = p256_key(*x, *y);
  }
  if (made.secret.empty() && made.key == nullptr) {
    error = "its key \"" + made.id + "\" can't be used";
    return false;
  }
  keys_.push_back(std::move(made));
  return true;
}

bool SigningKeys::verify(SigningAlgorithm algorithm, std::string_view id, std::string_view bytes,
                         std::string_view signature) const {
  std::string asn1;
  if (algorithm == SigningAlgorithm::Es256) {
    if (signature.size() != 2 * kCoordinateBytes) return false;
    asn1 = asn1_of(signature);
    signature = asn1;
  }
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm || (!id.empty() && !key.id.empty() && key.id != id)) continue;
    const bool valid = key.key == nullptr ? constant_time_equal(hmac_sha256(key.secret, bytes), signature)
                                          : verify_with(key.key.get(), bytes, signature);
    if (valid) return true;
  }
  return false;
}

}  // namespace beamgate::crypto
