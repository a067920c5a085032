// Settings: what a configuration says of TLS, as plain values; files are here as their bytes.
//
// Owner      config::Server and config::ProxyAction hold one each.  The bytes of keys stay in memory as long as the
//            configuration: a worker, which may not read the files, is handed them with its text.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/base/secret.h"
#include "common/tls/ticket_keys.h"

namespace beamgate::tls {

// A file that was read; the path is for messages.  Empty when both are: none was named.
struct File {
  std::string path;
  Secret bytes;

  bool named() const { return !path.empty(); }
};

using Protocols = uint8_t;  // A sum of these.
inline constexpr Protocols kTls12 = 1 << 0;
inline constexpr Protocols kTls13 = 1 << 1;

// Whether clients show a certificate.
enum class Verify : uint8_t { Off, On, Optional, OptionalNoCa };

struct ServerSettings {
  std::vector<File> certificates;  // PEM: the certificate, then its chain.
  std::vector<File> keys;          // PEM, one for each certificate.
  Protocols protocols = kTls12 | kTls13;
  std::string ciphers;             // Of TLS 1.2, in OpenSSL's syntax.
  std::string groups;              // Of the key exchange, in the order of preference.
  bool prefer_server_ciphers = false;
  bool movable = true;             // Records of TLS 1.3 are taken over from OpenSSL (record_layer.h).
  File dh_parameters;
  std::vector<std::pair<std::string, std::string>> commands;  // SSL_CONF_cmd(3)
  bool tickets = true;
  std::vector<TicketKey> ticket_keys;  // The first seals; empty: those that the node makes itself.
  int64_t session_timeout_ms = 300'000;
  int64_t handshake_timeout_ms = 60'000;
  bool reject_handshake = false;
  Verify verify = Verify::Off;
  unsigned verify_depth = 1;
  File client_ca;                  // Trusted, and named to clients.
  File trusted_ca;                 // Trusted, not named.
  File crl;
  bool stapling = false;
  File staple;                     // An OCSP response, DER.
};

struct ClientSettings {
  Protocols protocols = kTls12 | kTls13;
  std::string ciphers;
  bool verify = false;
  unsigned verify_depth = 1;
  File trusted_ca;                 // Not named: the system's.
  File crl;
  File certificate;
  File key;
  bool reuse_sessions = true;
};

// One thing that is wrong, or doubtful, in settings.
struct Problem {
  std::string path;  // The file it is in, or the word of the configuration that it is about; empty: none.
  std::string text;  // Whole, with the path.
  bool warning = false;
};

}  // namespace beamgate::tls
