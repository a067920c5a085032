// Negotiated: what a handshake has agreed on and who the client has shown itself to be: all that requests want to know
// of their connection's TLS.
//
// Owner      net::TlsLinks, by the connection's slot.  Made once, when the handshake is done; pack() and unpack() carry
//            it to another process.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/tls/handles.h"
#include "common/tls/settings.h"

namespace beamgate::tls {

// Names what a server trusts and asks of clients: servers with the same are one to a client's certificate.
struct Trust {
  uint8_t bytes[16] = {};
  bool operator==(const Trust&) const = default;
};

class Negotiated {
 public:
  static constexpr size_t kPackedBytesMax = 64 << 10;

  Negotiated() = default;
  // Of a handshake that is done.  server_name: as the client has sent it, in lower case; verify, trust: of the server
  // it was made with.
  static Negotiated of(const SSL* session, std::string server_name, Verify verify, const Trust& trust);

  // Texts are empty where there is nothing to say.
  std::string_view protocol() const { return protocol_; }  // "TLSv1.3"
  std::string_view cipher() const { return cipher_; }      // "TLS_AES_256_GCM_SHA384"
  std::string_view server_name() const { return server_name_; }
  bool resumed() const { return resumed_; }
  bool chose_http2() const { return http2_; }              // By ALPN.
  Verify verify() const { return verify_; }
  const Trust& trust() const { return trust_; }

  // What is wrong with the client's certificate, or that there is none where one is required; null: all is well.
  const char* client_refusal() const;
  std::string client_verify() const;        // "SUCCESS", "FAILED:reason", "NONE"
  std::string client_subject() const;       // RFC 2253
  std::string client_issuer() const;
  std::string client_serial() const;        // Hexadecimal, upper case.
  std::string client_fingerprint() const;   // SHA-1, hexadecimal, lower case.
  std::string client_certificate() const;   // PEM.

  // Of a TLS 1.3 session only: its cipher suite is told apart (record_layer.h).  Empty: it can't be carried.
  std::string pack() const;
  // Nothing: these bytes are none of pack()'s.
  static std::optional<Negotiated> unpack(std::string_view packed, std::string_view cipher);

 private:
  std::string_view protocol_;  // Static storage, as the cipher's.
  std::string_view cipher_;
  std::string server_name_;
  bool resumed_ = false;
  bool http2_ = false;
  Verify verify_ = Verify::Off;
  Trust trust_;
  int64_t verify_result_ = 0;  // X509_V_OK or what was wrong.
  CertificatePtr client_;      // Null: it has shown none.
};

}  // namespace beamgate::tls
