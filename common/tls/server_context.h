// ServerContext: how one virtual server speaks TLS: its certificates, versions, ciphers, and whom it trusts.
//
// Owner      config::Server, shared with the sessions that have begun with it: a reload makes a new one, and who
//            is in the middle of a handshake ends it with the old.
// Thread     Immutable; made by the master for -t and for the workers it forks, by a worker for a reload.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/tls/handles.h"
#include "common/tls/negotiated.h"
#include "common/tls/settings.h"

namespace beamgate::tls {

class ServerContext {
 public:
  // Null when a problem is no mere warning.
  static std::shared_ptr<const ServerContext> make(const ServerSettings& settings, std::vector<Problem>& problems);

  Verify verify() const { return verify_; }
  // Whoever has satisfied one of the same has satisfied this one: the same trust, the same wish for a certificate.
  Trust trust() const;
  bool rejects() const { return rejects_; }  // Every handshake is refused: unrecognized_name.
  int64_t handshake_timeout_ms() const { return handshake_timeout_ms_; }
  const std::vector<TicketKey>& ticket_keys() const { return ticket_keys_; }  // Empty: the node's.

  // For sessions.
  SSL_CTX* native() const { return context_.get(); }
  // The session began with another context, and its ClientHello has named us.
  bool take_over(SSL* session) const;

 private:
  ServerContext() = default;
  bool load(const ServerSettings& settings, std::vector<Problem>& problems);
  bool load_verification(const ServerSettings& settings, std::vector<Problem>& problems);
  bool load_staple(const ServerSettings& settings, std::vector<Problem>& problems);
  bool run_commands(const ServerSettings& settings, std::vector<Problem>& problems);
  void name_sessions(const ServerSettings& settings);
  static int give_staple(SSL* session, void* argument) noexcept;

  ContextPtr context_;
  Verify verify_ = Verify::Off;
  unsigned verify_depth_ = 1;
  bool rejects_ = false;
  int64_t handshake_timeout_ms_ = 0;
  std::vector<TicketKey> ticket_keys_;
  std::string groups_;
  std::string session_context_;  // Sessions are resumed among servers of the same certificates and trust.
  std::string staple_;
  std::vector<std::string> staple_serials_;  // Of the certificates that the response speaks of, DER.
};

}  // namespace beamgate::tls
