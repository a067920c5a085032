#include "common/tls/client_context.h"

#include "common/tls/client_session.h"
#include "common/tls/material.h"

namespace beamgate::tls {

std::shared_ptr<const ClientContext> ClientContext::make(const ClientSettings& settings,
                                                         std::vector<Problem>& problems) {
  std::shared_ptr<ClientContext> made(new ClientContext());
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  if (made->context_ == nullptr) {
    problems.push_back({"", "cannot make a TLS context: " + take_error(), false});
    return nullptr;
  }
  return made->load(settings, problems) ? made : nullptr;
}

bool ClientContext::load(const ClientSettings& settings, std::vector<Problem>& problems) {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  bool good = set_protocols(context, settings.protocols);
  good = set_ciphers(context, settings.ciphers, problems) && good;
  verifies_ = settings.verify;
  if (settings.trusted_ca.named()) {
    good = trust(context, settings.trusted_ca, false, problems) && good;
  } else if (verifies_) {
    good = SSL_CTX_set_default_verify_paths(context) == 1 && good;
  }
  if (settings.crl.named()) good = use_crl(context, settings.crl, problems) && good;
  SSL_CTX_set_verify(context, verifies_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_verify_depth(context, static_cast<int>(settings.verify_depth));
  if (settings.certificate.named()) good = use_pair(context, settings.certificate, settings.key, problems) && good;
  if (settings.reuse_sessions) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    ClientSession::attend(context);
  } else {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  }
  return good;
}

SSL_SESSION* ClientContext::take_session(const std::string& server) const {
  const auto found = sessions_.find(server);
  if (found == sessions_.end()) return nullptr;
  SSL_SESSION* session = found->second.get();
  SSL_SESSION_up_ref(session);
  // A ticket of TLS 1.3 is used once (RFC 8446 appendix C.4); before that a server may give no other.
  if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) sessions_.erase(found);
  return session;
}

void ClientContext::keep_session(const std::string& server, SSL_SESSION* session) const {
  if (sessions_.size() >= kSessionsMax && !sessions_.contains(server)) sessions_.erase(sessions_.begin());
  sessions_[server].reset(session);
}

}  // namespace beamgate::tls
