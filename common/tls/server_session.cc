#include "common/tls/server_session.h"

#include <openssl/bn.h>
#include <openssl/pem.h>

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::tls {
namespace {

constexpr size_t kNameBytesMax = 255;

int server_session_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// RFC 6066 section 3: a list whose first entry is a host name.
std::string name_in(const unsigned char* extension, size_t bytes) {
  const auto number = [&](size_t at) { return static_cast<size_t>(extension[at] << 8 | extension[at + 1]); };
  if (bytes < 5 || number(0) != bytes - 2 || extension[2] != 0) return {};
  const size_t length = number(3);
  if (length == 0 || length > bytes - 5 || length > kNameBytesMax) return {};
  std::string name = to_lower(std::string_view(reinterpret_cast<const char*>(extension + 5), length));
  if (name.ends_with('.')) name.pop_back();
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return plain ? name : std::string();
}

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
bool is_unknown_authority(long result) {
  return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
         result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

}  // namespace

std::unique_ptr<ServerSession> ServerSession::open(std::shared_ptr<const ServerContext> context, Contexts& contexts,
                                                   uint32_t listen_id, const TicketKeyPage* tickets) {
  std::unique_ptr<ServerSession> session(new ServerSession(std::move(context), contexts, listen_id, tickets));
  return session->start() ? std::move(session) : nullptr;
}

bool ServerSession::start() {
  if (!attach(context_->native())) return false;
  SSL_set_accept_state(ssl());
  return SSL_set_ex_data(ssl(), server_session_index(), this) == 1;
}

void ServerSession::attend(SSL_CTX* context) { SSL_CTX_set_client_hello_cb(context, on_client_hello, nullptr); }

ServerSession* ServerSession::of(const SSL* native) {
  return static_cast<ServerSession*>(SSL_get_ex_data(native, server_session_index()));
}

// Before anything of the hello is acted upon: a session to resume is looked for with the right server's settings.
int ServerSession::on_client_hello(SSL* hello, int* alert, void*) noexcept {
  ServerSession* self = of(hello);
  const unsigned char* extension = nullptr;
  size_t bytes = 0;
  if (SSL_client_hello_get0_ext(hello, TLSEXT_TYPE_server_name, &extension, &bytes) == 1) {
    self->server_name_ = name_in(extension, bytes);
  }
  *alert = SSL_AD_INTERNAL_ERROR;
  if (!self->choose_context()) return SSL_CLIENT_HELLO_ERROR;
  if (!self->context_->rejects()) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_CLIENT_HELLO_ERROR;
}

bool ServerSession::choose_context() {
  if (server_name_.empty()) return true;
  auto wanted = contexts_.context_of(listen_id_, server_name_);
  if (wanted == nullptr || wanted == context_) return true;
  context_ = std::move(wanted);
  return context_->rejects() || context_->take_over(ssl());
}

// The context that the session began with decides, as OpenSSL has it too.
std::vector<TicketKey> ServerSession::ticket_keys() const {
  if (!context_->ticket_keys().empty()) return context_->ticket_keys();
  return tickets_ != nullptr ? tickets_->keys() : std::vector<TicketKey>();
}

std::string_view ServerSession::protocol() const { return SSL_get_version(ssl()); }
std::string_view ServerSession::cipher() const { return SSL_get_cipher_name(ssl()); }
bool ServerSession::chose_http2() const {
  const unsigned char* chosen = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(ssl(), &chosen, &bytes);
  return std::string_view(reinterpret_cast<const char*>(chosen), bytes) == "h2";
}

bool ServerSession::resumed() const { return SSL_session_reused(ssl()) == 1; }

// --- The client's certificate.

CertificatePtr ServerSession::client() const { return CertificatePtr(SSL_get1_peer_certificate(ssl())); }

bool ServerSession::has_client_certificate() const { return SSL_get0_peer_certificate(ssl()) != nullptr; }

const char* ServerSession::client_refusal() const {
  const Verify verify = context_->verify();
  if (verify == Verify::Off) return nullptr;
  if (!has_client_certificate()) {
    return verify == Verify::On ? "No required SSL certificate was sent" : nullptr;
  }
  const long result = SSL_get_verify_result(ssl());
  if (result == X509_V_OK || (verify == Verify::OptionalNoCa && is_unknown_authority(result))) return nullptr;
  return "The SSL certificate error";
}

std::string ServerSession::client_verify() const {
  if (!has_client_certificate()) return "NONE";
  const long result = SSL_get_verify_result(ssl());
  if (result == X509_V_OK) return "SUCCESS";
  return std::string("FAILED:") + X509_verify_cert_error_string(result);
}

std::string ServerSession::client_subject() const {
  const CertificatePtr shown = client();
  return shown == nullptr ? std::string() : text_of(X509_get_subject_name(shown.get()));
}

std::string ServerSession::client_issuer() const {
  const CertificatePtr shown = client();
  return shown == nullptr ? std::string() : text_of(X509_get_issuer_name(shown.get()));
}

std::string ServerSession::client_serial() const {
  const CertificatePtr shown = client();
  if (shown == nullptr) return {};
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || i2a_ASN1_INTEGER(bio.get(), X509_get0_serialNumber(shown.get())) < 0) return {};
  return text_of(bio.get());
}

std::string ServerSession::client_fingerprint() const {
  const CertificatePtr shown = client();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;
  if (shown == nullptr || X509_digest(shown.get(), EVP_sha1(), digest, &bytes) != 1) return {};
  std::string out;
  for (unsigned int i = 0; i < bytes; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

std::string ServerSession::client_certificate() const {
  const CertificatePtr shown = client();
  if (shown == nullptr) return {};
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), shown.get()) != 1) return {};
  return text_of(bio.get());
}

}  // namespace beamgate::tls
