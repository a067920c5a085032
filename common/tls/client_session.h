// ClientSession: TLS to one backend.
//
// Owner      upstream::Connection.
// Thread     Worker loop thread only.
#pragma once

#include <memory>
#include <string>

#include "common/tls/client_context.h"
#include "common/tls/session.h"

namespace beamgate::tls {

// How a server is to be spoken to.
struct Target {
  std::shared_ptr<const ClientContext> context;  // Null: without TLS.
  std::string name;         // What its certificate is to be for.
  bool tells_name = false;  // SNI.

  bool operator==(const Target&) const = default;
};

class ClientSession final : public Session {
 public:
  // address: of the server, to find a session to resume.  Null: there is no memory.  receive() nothing to begin.
  static std::unique_ptr<ClientSession> open(const Target& target, const std::string& address);

  bool resumed() const { return SSL_session_reused(ssl()) == 1; }

  static void attend(SSL_CTX* context);  // Its sessions are ClientSessions, and are kept for others to resume.

 private:
  ClientSession(const Target& target, const std::string& address);
  bool start(const Target& target);
  static int on_session(SSL* native, SSL_SESSION* session) noexcept;

  const std::shared_ptr<const ClientContext> context_;
  const std::string server_;  // Key of the sessions.
};

}  // namespace beamgate::tls
