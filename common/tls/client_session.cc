#include "common/tls/client_session.h"

#include <openssl/x509v3.h>

namespace beamgate::tls {
namespace {

int client_session_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// A name that is an address is looked for among the certificate's addresses (RFC 6125 section 1.7.2 leaves them out).
bool expect_name(SSL* ssl, const std::string& name) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1) return true;
  ERR_clear_error();
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, name.c_str()) == 1;
}

bool is_address(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  const bool is = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return is;
}

}  // namespace

ClientSession::ClientSession(const Target& target, const std::string& address)
    : context_(target.context), server_(address + ' ' + target.name) {}

std::unique_ptr<ClientSession> ClientSession::open(const Target& target, const std::string& address) {
  std::unique_ptr<ClientSession> session(new ClientSession(target, address));
  return session->start(target) ? std::move(session) : nullptr;
}

bool ClientSession::start(const Target& target) {
  if (!attach(context_->native()) || SSL_set_ex_data(ssl(), client_session_index(), this) != 1) return false;
  SSL_set_connect_state(ssl());
  if (context_->verifies() && !expect_name(ssl(), target.name)) return false;
  // RFC 6066 section 3: addresses are no names.
  const bool tells = target.tells_name && !target.name.empty() && !is_address(target.name);
  if (tells && SSL_set_tlsext_host_name(ssl(), target.name.c_str()) != 1) return false;
  if (SSL_SESSION* known = context_->take_session(server_)) {
    SSL_set_session(ssl(), known);
    SSL_SESSION_free(known);
  }
  return true;
}

void ClientSession::attend(SSL_CTX* context) { SSL_CTX_sess_set_new_cb(context, on_session); }

// 1: the session is ours now.
int ClientSession::on_session(SSL* native, SSL_SESSION* session) noexcept {
  const auto* self = static_cast<ClientSession*>(SSL_get_ex_data(native, client_session_index()));
  if (self == nullptr) return 0;
  self->context_->keep_session(self->server_, session);
  return 1;
}

}  // namespace beamgate::tls
