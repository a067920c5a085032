// ServerSession: one client's TLS handshake, and its records when they are not taken over (record_layer.h).
//
// Owner      net::TlsLinks, by the connection's slot.
// Thread     Worker loop thread only.
// Secrets    OpenSSL tells those of the traffic as it would for a log of keys (SSL_CTX_set_keylog_callback(3)); they
//            are overwritten with the session.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/tls/negotiated.h"
#include "common/tls/record_layer.h"
#include "common/tls/server_context.h"
#include "common/tls/session.h"

namespace beamgate::tls {

// Who knows which virtual server a name at a listening address belongs to.
class Contexts {
 public:
  virtual ~Contexts() = default;
  // Of the address's default server; null: it is no address for TLS.
  virtual std::shared_ptr<const ServerContext> context_of(uint32_t listen_id) = 0;
  // name: lower case, without a dot at its end.  Never null where the one above isn't.
  virtual std::shared_ptr<const ServerContext> context_of(uint32_t listen_id, std::string_view name) = 0;
  // Whether ALPN may choose h2.  name: as above, or empty.
  virtual bool speaks_http2(uint32_t listen_id, std::string_view name) = 0;
};

class ServerSession final : public Session {
 public:
  ~ServerSession();
  // Null: there is no memory.  tickets may be null: then only keys from files seal tickets.
  static std::unique_ptr<ServerSession> open(std::shared_ptr<const ServerContext> context, Contexts& contexts,
                                             uint32_t listen_id, const TicketKeyPage* tickets);

  // Of a handshake that is done.
  Negotiated negotiated() const;
  // Right behind the handshake: what its records are protected with from now on, so that the session may go.
  // Nothing: it stays with OpenSSL, and receive() goes on with what is unread.
  const Protection* take_over();
  bool has_begun() const { return SSL_in_before(ssl()) == 0; }  // Something has been received.
  HandshakeFailure failure() const;

  bool offers_http2() const { return contexts_.speaks_http2(listen_id_, server_name_); }
  std::vector<TicketKey> ticket_keys() const;
  static ServerSession* of(const SSL* native);
  // Its sessions are ServerSessions; movable: their secrets are listened to.
  static void attend(SSL_CTX* context, bool movable);

 private:
  ServerSession(std::shared_ptr<const ServerContext> context, Contexts& contexts, uint32_t listen_id,
                const TicketKeyPage* tickets)
      : context_(std::move(context)), contexts_(contexts), listen_id_(listen_id), tickets_(tickets) {}
  bool start();
  static int on_client_hello(SSL* hello, int* alert, void*) noexcept;
  static void on_secret(const SSL* native, const char* line) noexcept;
  bool choose_context();

  std::shared_ptr<const ServerContext> context_;
  Contexts& contexts_;
  const uint32_t listen_id_;
  const TicketKeyPage* tickets_;
  std::string server_name_;
  Protection protection_;
  bool has_peer_secret_ = false;
  bool has_own_secret_ = false;
  bool rejected_ = false;  // By ssl_reject_handshake.
};

}  // namespace beamgate::tls
