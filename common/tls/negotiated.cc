#include "common/tls/negotiated.h"

#include <openssl/bn.h>
#include <openssl/pem.h>

#include <cstring>

#include "common/base/bytes.h"

namespace beamgate::tls {
namespace {

std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(bio, &text);
  return bytes > 0 ? std::string(text, static_cast<size_t>(bytes)) : std::string();
}

std::string text_of(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  return text_of(bio.get());
}

// What a chain that leads to nobody whom we know looks like: optional_no_ca leaves it to the application.
bool is_unknown_authority(int64_t result) {
  return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
         result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

// In front of the name's bytes and the certificate's in a packed one.
struct Head {
  uint8_t resumed = 0;
  uint8_t http2 = 0;
  uint8_t verify = 0;
  uint8_t name_bytes = 0;  // At most 255, as a name in a ClientHello.
  uint32_t verify_result = 0;
  Trust trust;
};
static_assert(sizeof(Head) == 24);

}  // namespace

Negotiated Negotiated::of(const SSL* session, std::string server_name, Verify verify, const Trust& trust) {
  Negotiated out;
  out.protocol_ = SSL_get_version(session);
  out.cipher_ = SSL_get_cipher_name(session);
  out.server_name_ = std::move(server_name);
  out.resumed_ = SSL_session_reused(session) == 1;
  const unsigned char* chosen = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(session, &chosen, &bytes);
  out.http2_ = std::string_view(reinterpret_cast<const char*>(chosen), bytes) == "h2";
  out.verify_ = verify;
  out.trust_ = trust;
  out.verify_result_ = SSL_get_verify_result(session);
  out.client_.reset(SSL_get1_peer_certificate(session));
  return out;
}

// --- The client's certificate.

const char* Negotiated::client_refusal() const {
  if (verify_ == Verify::Off) return nullptr;
  if (client_ == nullptr) return verify_ == Verify::On ? "No required SSL certificate was sent" : nullptr;
  const bool fine = verify_result_ == X509_V_OK || (verify_ == Verify::OptionalNoCa && is_unknown_authority(verify_result_));
  return fine ? nullptr : "The SSL certificate error";
}

std::string Negotiated::client_verify() const {
  if (client_ == nullptr) return "NONE";
  if (verify_result_ == X509_V_OK) return "SUCCESS";
  return std::string("FAILED:") + X509_verify_cert_error_string(static_cast<long>(verify_result_));
}

std::string Negotiated::client_subject() const {
  return client_ == nullptr ? std::string() : text_of(X509_get_subject_name(client_.get()));
}

std::string Negotiated::client_issuer() const {
  return client_ == nullptr ? std::string() : text_of(X509_get_issuer_name(client_.get()));
}

std::string Negotiated::client_serial() const {
  if (client_ == nullptr) return {};
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || i2a_ASN1_INTEGER(bio.get(), X509_get0_serialNumber(client_.get())) < 0) return {};
  return text_of(bio.get());
}

std::string Negotiated::client_fingerprint() const {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  if (client_ == nullptr || X509_digest(client_.get(), EVP_sha1(), digest, &bytes) != 1) return {};
  std::string out;
  for (unsigned int i = 0; i < bytes; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

std::string Negotiated::client_certificate() const {
  if (client_ == nullptr) return {};
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), client_.get()) != 1) return {};
  return text_of(bio.get());
}

// --- On its way to another process.

std::string Negotiated::pack() const {
  const Head head{.resumed = resumed_,
                  .http2 = http2_,
                  .verify = static_cast<uint8_t>(verify_),
                  .name_bytes = static_cast<uint8_t>(server_name_.size()),
                  .verify_result = static_cast<uint32_t>(verify_result_),
                  .trust = trust_};
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  out += server_name_.substr(0, head.name_bytes);
  unsigned char* der = nullptr;
  const int bytes = client_ == nullptr ? 0 : i2d_X509(client_.get(), &der);
  if (bytes > 0) out.append(reinterpret_cast<const char*>(der), static_cast<size_t>(bytes));
  OPENSSL_free(der);
  return bytes < 0 || out.size() > kPackedBytesMax ? std::string() : out;
}

std::optional<Negotiated> Negotiated::unpack(std::string_view packed, std::string_view cipher) {
  Head head;
  if (packed.size() < sizeof head || packed.size() > kPackedBytesMax) return {};
  memcpy(&head, packed.data(), sizeof head);
  packed.remove_prefix(sizeof head);
  if (head.name_bytes > packed.size() || head.verify > static_cast<uint8_t>(Verify::OptionalNoCa)) return {};
  Negotiated out;
  out.protocol_ = "TLSv1.3";
  out.cipher_ = cipher;
  out.server_name_ = packed.substr(0, head.name_bytes);
  out.resumed_ = head.resumed != 0;
  out.http2_ = head.http2 != 0;
  out.verify_ = static_cast<Verify>(head.verify);
  out.trust_ = head.trust;
  out.verify_result_ = head.verify_result;
  const std::string_view der = packed.substr(head.name_bytes);
  if (der.empty()) return out;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  out.client_.reset(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  const bool whole = out.client_ != nullptr && reinterpret_cast<const char*>(at) == der.data() + der.size();
  if (!whole) return ERR_clear_error(), std::nullopt;
  return out;
}

}  // namespace beamgate::tls
