// ServerSession: one client's TLS, and what a request may want to know of it.
//
// Owner      net::TlsLinks, by the connection's slot.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
  // Null: there is no memory.  tickets may be null: then only keys from files seal tickets.
  static std::unique_ptr<ServerSession> open(std::shared_ptr<const ServerContext> context, Contexts& contexts,
                                             uint32_t listen_id, const TicketKeyPage* tickets);

  // Texts are empty where there is nothing to say.
  std::string_view protocol() const;        // "TLSv1.3"
  std::string_view cipher() const;          // "TLS_AES_256_GCM_SHA384"
  std::string_view server_name() const { return server_name_; }  // As the client has sent it, in lower case.
  bool resumed() const;
  bool offers_http2() const { return contexts_.speaks_http2(listen_id_, server_name_); }
  bool chose_http2() const;  // By ALPN.
  const ServerContext& context() const { return *context_; }

  // What is wrong with the client's certificate, or that there is none where one is required; null: all is well.
  const char* client_refusal() const;
  std::string client_verify() const;        // "SUCCESS", "FAILED:reason", "NONE"
  std::string client_subject() const;       // RFC 2253
  std::string client_issuer() const;
  std::string client_serial() const;        // Hexadecimal, upper case.
  std::string client_fingerprint() const;   // SHA-1, hexadecimal, lower case.
  std::string client_certificate() const;   // PEM.
  bool has_client_certificate() const;

  std::vector<TicketKey> ticket_keys() const;
  static ServerSession* of(const SSL* native);
  static void attend(SSL_CTX* context);  // Its sessions are ServerSessions.

 private:
  ServerSession(std::shared_ptr<const ServerContext> context, Contexts& contexts, uint32_t listen_id,
                const TicketKeyPage* tickets)
      : context_(std::move(context)), contexts_(contexts), listen_id_(listen_id), tickets_(tickets) {}
  bool start();
  static int on_client_hello(SSL* hello, int* alert, void*) noexcept;
  bool choose_context();
  CertificatePtr client() const;

  std::shared_ptr<const ServerContext> context_;
  Contexts& contexts_;
  const uint32_t listen_id_;
  const TicketKeyPage* tickets_;
  std::string server_name_;
};

}  // namespace beamgate::tls
