#include "common/tls/record_layer.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/tls/handles.h"

namespace beamgate::tls {
namespace {

// Content types (section 5.1) and the one handshake message there is (section 4.6.3).
constexpr uint8_t kAlert = 21;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kApplicationData = 23;
constexpr uint8_t kKeyUpdate = 24;
constexpr size_t kKeyUpdateMessageBytes = 5;

constexpr size_t kTagBytes = 16;
constexpr size_t kHeader = RecordLayer::kHeaderBytes;
constexpr uint8_t kAlertWarning = 1;
constexpr uint8_t kAlertFatal = 2;

using Alert = RecordLayer::Alert;
using CipherPtr = std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>>;
using MacContextPtr = std::unique_ptr<EVP_MAC_CTX, Free<EVP_MAC_CTX_free>>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>>;

size_t key_bytes(Suite suite) { return suite == Suite::Aes128GcmSha256 ? 16 : 32; }
size_t hash_bytes(Suite suite) { return suite == Suite::Aes256GcmSha384 ? 48 : 32; }

// HMAC with the suite's hash, made once: to look it up takes longer than to use it.
MacContextPtr make_mac(const char* hash) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  MacContextPtr context(EVP_MAC_CTX_new(mac));
  EVP_MAC_free(mac);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash), 0), OSSL_PARAM_construct_end()};
  BG_ASSERT(context != nullptr && EVP_MAC_CTX_set_params(context.get(), parameters) == 1);
  return context;
}

EVP_MAC_CTX* mac_of(Suite suite) {
  static const MacContextPtr sha256 = make_mac("SHA256");
  static const MacContextPtr sha384 = make_mac("SHA384");
  return (suite == Suite::Aes256GcmSha384 ? sha384 : sha256).get();
}

const EVP_CIPHER* cipher_of(Suite suite) {
  static const CipherPtr aes128(EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr));
  static const CipherPtr aes256(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  static const CipherPtr chacha(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr));
  switch (suite) {
    case Suite::Aes128GcmSha256: return aes128.get();
    case Suite::Aes256GcmSha384: return aes256.get();
    case Suite::ChaCha20Poly1305Sha256: return chacha.get();
  }
  return nullptr;
}

// HKDF-Expand-Label with an empty context (section 7.1); one block of HMAC is enough for all there is to expand.
void expand_label(Suite suite, const uint8_t* secret, std::string_view label, uint8_t* out, size_t bytes) {
  constexpr std::string_view kPrefix = "tls13 ";
  constexpr uint8_t kNoSecret[32] = {};
  std::string info;
  info += static_cast<char>(bytes >> 8);
  info += static_cast<char>(bytes);
  info += static_cast<char>(kPrefix.size() + label.size());
  info.append(kPrefix).append(label);
  info += '\0';    // No context.
  info += '\x01';  // The first block.
  uint8_t block[EVP_MAX_MD_SIZE] = {};
  size_t block_bytes = 0;
  EVP_MAC_CTX* mac = mac_of(suite);
  const bool done = EVP_MAC_init(mac, secret, hash_bytes(suite), nullptr) == 1 &&
                    EVP_MAC_update(mac, reinterpret_cast<const uint8_t*>(info.data()), info.size()) == 1 &&
                    EVP_MAC_final(mac, block, &block_bytes, sizeof block) == 1 &&
                    EVP_MAC_init(mac, kNoSecret, sizeof kNoSecret, nullptr) == 1;  // It has kept a copy.
  BG_ASSERT(done);  // It can't be had without memory only, and nothing must be sealed with other keys.
  memcpy(out, block, bytes);
  OPENSSL_cleanse(block, sizeof block);
}

// The next generation of a traffic secret (section 7.2).
void advance(Suite suite, uint8_t* secret) {
  uint8_t next[kSecretBytesMax] = {};
  expand_label(suite, secret, "traffic upd", next, hash_bytes(suite));
  memcpy(secret, next, sizeof next);
  OPENSSL_cleanse(next, sizeof next);
}

void fail(RecordLayer::Opened& opened, Alert alert, const char* reason) {
  opened.failure = alert;
  opened.reason = reason;
}

// A record that brings nothing.
void count_empty(Progress& progress, RecordLayer::Opened& opened) {
  if (++progress.empty_records > RecordLayer::kEmptyRecordsMax) {
    fail(opened, Alert::UnexpectedMessage, "too many empty records");
  }
}

}  // namespace

bool is_movable(uint16_t suite) {
  return suite >= static_cast<uint16_t>(Suite::Aes128GcmSha256) &&
         suite <= static_cast<uint16_t>(Suite::ChaCha20Poly1305Sha256);
}

std::string_view name_of(Suite suite) {
  switch (suite) {
    case Suite::Aes128GcmSha256: return "TLS_AES_128_GCM_SHA256";
    case Suite::Aes256GcmSha384: return "TLS_AES_256_GCM_SHA384";
    case Suite::ChaCha20Poly1305Sha256: return "TLS_CHACHA20_POLY1305_SHA256";
  }
  return {};
}

// One direction of one connection, while its records are worked on.  The context behind it serves them all, one after
// the other: to give it another key costs less than to keep one for each connection.
class RecordLayer::Cipher {
 public:
  Cipher(Suite suite, Keys& keys, const uint8_t* secret, bool seals) : iv_(keys.iv), seals_(seals) {
    if (!keys.known) keys.derive(suite, secret);
    static const CipherContextPtr sealing(EVP_CIPHER_CTX_new());
    static const CipherContextPtr opening(EVP_CIPHER_CTX_new());
    context_ = (seals ? sealing : opening).get();
    good_ = context_ != nullptr &&
            EVP_CipherInit_ex2(context_, cipher_of(suite), keys.key, nullptr, seals ? 1 : 0, nullptr) == 1;
    if (!good_) ERR_clear_error();
  }

  // content and what follows it (the inner content type) become one ciphertext and its tag at `out`.
  bool seal(uint64_t sequence, const char* header, std::string_view content, char type, char* out) {
    int bytes = 0;
    return begin(sequence, header) && update(content, out, bytes) && update({&type, 1}, out + content.size(), bytes) &&
           EVP_CipherFinal_ex(context_, nullptr, &bytes) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out + content.size() + 1) == 1;
  }

  // False: it is not what the peer has sealed.
  bool open(uint64_t sequence, const char* header, std::string_view sealed, char* out) {
    int bytes = 0;
    const std::string_view ciphertext = sealed.substr(0, sealed.size() - kTagBytes);
    const char* tag = sealed.data() + ciphertext.size();
    const bool opened = begin(sequence, header) && update(ciphertext, out, bytes) &&
                        EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, kTagBytes, const_cast<char*>(tag)) == 1 &&
                        EVP_CipherFinal_ex(context_, nullptr, &bytes) == 1;
    if (!opened) ERR_clear_error();
    return opened;
  }

 private:
  // Section 5.3: the record's number, of the length of the IV, XORed with it.
  bool begin(uint64_t sequence, const char* header) {
    uint8_t nonce[12];
    memcpy(nonce, iv_, sizeof nonce);
    for (size_t i = 0; i < sizeof sequence; ++i) nonce[11 - i] ^= static_cast<uint8_t>(sequence >> 8 * i);
    int bytes = 0;
    return good_ && EVP_CipherInit_ex2(context_, nullptr, nullptr, nonce, seals_ ? 1 : 0, nullptr) == 1 &&
           EVP_CipherUpdate(context_, nullptr, &bytes, reinterpret_cast<const uint8_t*>(header), kHeader) == 1;
  }

  bool update(std::string_view in, char* out, int& bytes) {
    return in.empty() || EVP_CipherUpdate(context_, reinterpret_cast<uint8_t*>(out), &bytes,
                                          reinterpret_cast<const uint8_t*>(in.data()), static_cast<int>(in.size())) == 1;
  }

  EVP_CIPHER_CTX* context_;
  const uint8_t* iv_;
  const bool seals_;
  bool good_ = false;
};

void RecordLayer::Keys::derive(Suite suite, const uint8_t* secret) {
  expand_label(suite, secret, "key", key, key_bytes(suite));
  expand_label(suite, secret, "iv", iv, sizeof iv);
  known = true;
}

void RecordLayer::Keys::forget() {
  OPENSSL_cleanse(key, sizeof key);
  OPENSSL_cleanse(iv, sizeof iv);
  known = false;
}

// --- Sealing.

bool RecordLayer::seal_record(Cipher& cipher, uint64_t sequence, uint8_t type, std::string_view content,
                              std::string& out) {
  const size_t length = content.size() + 1 + kTagBytes;
  const char header[kHeader] = {static_cast<char>(kApplicationData), 3, 3, static_cast<char>(length >> 8),
                                static_cast<char>(length)};
  const size_t at = out.size();
  out.resize(at + kHeader + length);
  memcpy(out.data() + at, header, kHeader);
  if (cipher.seal(sequence, header, content, static_cast<char>(type), out.data() + at + kHeader)) return true;
  ERR_clear_error();
  out.resize(at);
  return false;
}

bool RecordLayer::seal(const Protection& protection, std::string_view plaintext, std::string& out) {
  Cipher cipher(protection.suite, own_, protection.own_secret, true);
  for (uint64_t sequence = protection.progress.sealed; !plaintext.empty(); ++sequence) {
    const std::string_view content = plaintext.substr(0, kPlaintextBytes);
    if (!seal_record(cipher, sequence, kApplicationData, content, out)) return false;
    plaintext.remove_prefix(content.size());
  }
  return true;
}

bool RecordLayer::seal_one(const Protection& protection, uint8_t type, std::string_view content,
                           std::string& out) {
  Cipher cipher(protection.suite, own_, protection.own_secret, true);
  return seal_record(cipher, protection.progress.sealed, type, content, out);
}

bool RecordLayer::seal_alert(const Protection& protection, Alert alert, std::string& out) {
  const uint8_t level = alert == Alert::CloseNotify ? kAlertWarning : kAlertFatal;
  const char content[] = {static_cast<char>(level), static_cast<char>(alert)};
  return seal_one(protection, kAlert, {content, sizeof content}, out);
}

bool RecordLayer::seal_key_update(const Protection& protection, std::string& out) {
  constexpr char kMessage[kKeyUpdateMessageBytes] = {static_cast<char>(kKeyUpdate), 0, 0, 1, 0};  // update_not_requested
  return seal_one(protection, kHandshake, {kMessage, sizeof kMessage}, out);
}

void RecordLayer::update_own_keys(Protection& protection) {
  advance(protection.suite, protection.own_secret);
  own_.forget();
  protection.progress.sealed = 0;
  protection.progress.owes_key_update = 0;
}

// --- Opening.

bool RecordLayer::holds_record(std::span<const char> bytes) {
  return bytes.size() >= kHeader && bytes.size() - kHeader >= load_be<uint16_t>(bytes.data() + 3);
}

RecordLayer::Opened RecordLayer::open(Protection& protection, std::span<const char> records, std::span<char> into) {
  Opened opened;
  Progress& progress = protection.progress;
  std::optional<Cipher> cipher;
  while (!opened.failure && !progress.received_close && records.size() - opened.used >= kHeader) {
    const char* header = records.data() + opened.used;
    const size_t length = load_be<uint16_t>(header + 3);
    if (static_cast<uint8_t>(header[0]) != kApplicationData) {
      fail(opened, Alert::UnexpectedMessage, "a record that is not protected");
      break;
    }
    if (length > kRecordBytesMax - kHeader) {
      fail(opened, Alert::RecordOverflow, "a record is too long");
      break;
    }
    if (length < 1 + kTagBytes) {
      fail(opened, Alert::BadRecordMac, "a record is too short");
      break;
    }
    if (records.size() - opened.used - kHeader < length) break;
    char* plaintext = into.data() + opened.plaintext;
    if (!cipher) cipher.emplace(protection.suite, peer_, protection.peer_secret, false);
    if (!cipher->open(progress.opened, header, {header + kHeader, length}, plaintext)) {
      fail(opened, Alert::BadRecordMac, "a record does not open");
      break;
    }
    ++progress.opened;
    opened.used += kHeader + length;
    // Zeros behind the content's type are padding (section 5.4).
    size_t bytes = length - kTagBytes;
    if (bytes > kPlaintextBytes + 1) {
      fail(opened, Alert::RecordOverflow, "a record holds too much");
      break;
    }
    while (bytes > 0 && plaintext[bytes - 1] == 0) --bytes;
    if (bytes == 0) {
      fail(opened, Alert::UnexpectedMessage, "a record without a type");
      break;
    }
    const auto type = static_cast<uint8_t>(plaintext[--bytes]);
    const std::string_view content(plaintext, bytes);
    if (progress.fragment_bytes > 0 && type != kHandshake) {
      fail(opened, Alert::UnexpectedMessage, "a handshake message is cut");
    } else if (type == kApplicationData) {
      if (content.empty()) {
        count_empty(progress, opened);
      } else {
        progress.key_updates = progress.empty_records = 0;
      }
      opened.plaintext += bytes;
    } else if (type == kHandshake) {
      take_handshake(protection, content, opened);
      cipher.reset();
    } else if (type == kAlert) {
      take_alert(protection, content, opened);
    } else {
      fail(opened, Alert::UnexpectedMessage, "a record of a wrong type");
    }
  }
  if (progress.received_close) opened.used = records.size();
  return opened;
}

// All that may come is KeyUpdate, maybe in pieces, but never with anything behind it that is sealed with the same keys.
void RecordLayer::take_handshake(Protection& protection, std::string_view content, Opened& opened) {
  Progress& progress = protection.progress;
  uint8_t message[kKeyUpdateMessageBytes];
  memcpy(message, progress.fragment, progress.fragment_bytes);
  const size_t wanted = kKeyUpdateMessageBytes - progress.fragment_bytes;
  if (content.empty() || content.size() > wanted) {
    return fail(opened, Alert::UnexpectedMessage, "a handshake message of a wrong length");
  }
  memcpy(message + progress.fragment_bytes, content.data(), content.size());
  if (message[0] != kKeyUpdate) return fail(opened, Alert::UnexpectedMessage, "a handshake message after the handshake");
  if (content.size() < wanted) {
    memcpy(progress.fragment + progress.fragment_bytes, content.data(), content.size());
    progress.fragment_bytes = static_cast<uint8_t>(progress.fragment_bytes + content.size());
    return;
  }
  progress.fragment_bytes = 0;
  if (message[1] != 0 || message[2] != 0 || message[3] != 1) {
    return fail(opened, Alert::DecodeError, "a KeyUpdate of a wrong length");
  }
  if (message[4] > 1) return fail(opened, Alert::IllegalParameter, "a KeyUpdate that asks for something unknown");
  if (++progress.key_updates > kKeyUpdatesMax) return fail(opened, Alert::UnexpectedMessage, "too many KeyUpdates");
  if (message[4] == 1) progress.owes_key_update = 1;
  advance(protection.suite, protection.peer_secret);
  peer_.forget();
  progress.opened = 0;
}

void RecordLayer::take_alert(Protection& protection, std::string_view content, Opened& opened) {
  if (content.empty()) return fail(opened, Alert::UnexpectedMessage, "an empty alert");  // Section 5.4
  if (content.size() != 2) return fail(opened, Alert::DecodeError, "an alert of a wrong length");
  const auto alert = static_cast<Alert>(content[1]);
  if (alert == Alert::CloseNotify) {
    protection.progress.received_close = 1;
  } else if (alert == Alert::UserCanceled) {
    count_empty(protection.progress, opened);
  } else {
    fail(opened, alert, "the client has sent an alert");
    opened.answer = false;
  }
}

}  // namespace beamgate::tls
