// RecordPeer: what seals TLS 1.3's records for a RecordLayer to open, also such as no honest end makes.
//
// Keys       by OpenSSL's own TLS13-KDF(7), not by what is tested.
// Source     RFC 8446 sections 5.2 to 5.4, 7.2 and 7.3.
#pragma once

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/tls/handles.h"
#include "common/tls/record_layer.h"

namespace beamgate::tls {

class RecordPeer {
 public:
  // Content types (section 5.1), outer and inner ones.
  static constexpr uint8_t kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kApplicationData = 23;

  RecordPeer(Suite suite, const uint8_t* secret) : suite_(suite) {
    secret_.assign(reinterpret_cast<const char*>(secret), suite == Suite::Aes256GcmSha384 ? 48 : 32);
    derive();
  }

  std::string seal(uint8_t type, std::string_view content, size_t padding = 0) {
    std::string inner(content);
    inner += static_cast<char>(type);
    return seal_inner(inner.append(padding, '\0'));
  }

  // inner: as it is, with a type in it or not.
  std::string seal_inner(std::string_view inner, uint8_t outer_type = kApplicationData) {
    const size_t length = inner.size() + 16;
    std::string out = {static_cast<char>(outer_type), 3, 3, static_cast<char>(length >> 8), static_cast<char>(length)};
    std::array<uint8_t, 12> nonce = iv_;
    for (size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<uint8_t>(sequence >> 8 * i);
    ++sequence;
    const std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>> context(EVP_CIPHER_CTX_new());
    int bytes = 0;
    EVP_EncryptInit_ex(context.get(), cipher(), nullptr, key_.data(), nonce.data());
    EVP_EncryptUpdate(context.get(), nullptr, &bytes, reinterpret_cast<const uint8_t*>(out.data()), 5);
    out.resize(5 + length);
    auto* sealed = reinterpret_cast<uint8_t*>(out.data()) + 5;
    EVP_EncryptUpdate(context.get(), sealed, &bytes, reinterpret_cast<const uint8_t*>(inner.data()),
                      static_cast<int>(inner.size()));
    EVP_EncryptFinal_ex(context.get(), sealed + inner.size(), &bytes);
    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, 16, sealed + inner.size());
    return out;
  }

  // A KeyUpdate, and what comes then is sealed with the next keys.
  std::string key_update(uint8_t request, size_t padding = 0) {
    const char message[] = {24, 0, 0, 1, static_cast<char>(request)};
    std::string out = seal(kHandshake, {message, sizeof message}, padding);
    advance();
    return out;
  }

  void advance() {
    secret_ = expand("traffic upd", secret_.size());
    sequence = 0;
    derive();
  }

  uint64_t sequence = 0;  // Of the next record.

 private:
  const EVP_CIPHER* cipher() const {
    switch (suite_) {
      case Suite::Aes128GcmSha256: return EVP_aes_128_gcm();
      case Suite::Aes256GcmSha384: return EVP_aes_256_gcm();
      case Suite::ChaCha20Poly1305Sha256: break;
    }
    return EVP_chacha20_poly1305();
  }

  std::string expand(std::string label, size_t bytes) const {
    std::string out(bytes, '\0'), prefix = "tls13 ", secret = secret_;
    std::string mode = "EXPAND_ONLY", digest = suite_ == Suite::Aes256GcmSha384 ? "SHA384" : "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode.data(), 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret.data(), secret.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix.data(), prefix.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label.data(), label.size()), OSSL_PARAM_construct_end()};
    const std::unique_ptr<EVP_KDF, Free<EVP_KDF_free>> kdf(EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr));
    const std::unique_ptr<EVP_KDF_CTX, Free<EVP_KDF_CTX_free>> context(EVP_KDF_CTX_new(kdf.get()));
    EVP_KDF_derive(context.get(), reinterpret_cast<uint8_t*>(out.data()), bytes, parameters);
    return out;
  }

  void derive() {
    const std::string key = expand("key", suite_ == Suite::Aes128GcmSha256 ? 16 : 32), iv = expand("iv", iv_.size());
    std::copy(key.begin(), key.end(), key_.begin());
    std::copy(iv.begin(), iv.end(), iv_.begin());
  }

  const Suite suite_;
  std::string secret_;
  std::array<uint8_t, 32> key_ = {};
  std::array<uint8_t, 12> iv_ = {};
};

}  // namespace beamgate::tls
