#include "common/tls/ticket_sealing.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

#include <cstring>

#include "common/tls/server_session.h"

namespace beamgate::tls {
namespace {

bool set_mac_key(EVP_MAC_CTX* mac, const TicketKey& key) {
  char digest[] = "sha256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key.mac), key.bytes),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

const EVP_CIPHER* cipher_of(const TicketKey& key) { return key.bytes == 32 ? EVP_aes_256_cbc() : EVP_aes_128_cbc(); }

// 1: go on; 0: do without a ticket; negative: the handshake fails.
int seal(const std::vector<TicketKey>& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
         EVP_MAC_CTX* mac) {
  if (keys.empty()) return 0;
  const TicketKey& key = keys.front();
  if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher_of(key))) != 1) return -1;
  memcpy(name, key.name, sizeof key.name);
  const bool sealed = EVP_EncryptInit_ex(cipher, cipher_of(key), nullptr, key.cipher, iv) == 1;
  return sealed && set_mac_key(mac, key) ? 1 : -1;
}

// 1: go on; 2: go on, and give the client a new ticket; 0: it is not ours, a full handshake follows.
int open(const std::vector<TicketKey>& keys, const unsigned char* name, const unsigned char* iv,
         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool always_renew) {
  for (size_t i = 0; i < keys.size(); ++i) {
    const TicketKey& key = keys[i];
    if (memcmp(name, key.name, sizeof key.name) != 0) continue;
    const bool opened = EVP_DecryptInit_ex(cipher, cipher_of(key), nullptr, key.cipher, iv) == 1;
    if (!opened || !set_mac_key(mac, key)) return -1;
    return i > 0 || always_renew ? 2 : 1;
  }
  return 0;
}

// TLS 1.3 clients use a ticket once (RFC 8446 appendix C.4): they need the next.
int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
              int sealing) noexcept {
  const ServerSession* session = ServerSession::of(ssl);
  if (session == nullptr) return 0;
  const std::vector<TicketKey> keys = session->ticket_keys();
  if (sealing != 0) return seal(keys, name, iv, cipher, mac);
  return open(keys, name, iv, cipher, mac, SSL_version(ssl) >= TLS1_3_VERSION);
}

}  // namespace

void set_ticket_sealing(SSL_CTX* context) { SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket); }

}  // namespace beamgate::tls
