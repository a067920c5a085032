// HandshakeFailure: why a client's TLS handshake was not completed.
#pragma once

#include <cstdint>

namespace beamgate::tls {

struct HandshakeFailure {
  enum class Kind : uint8_t {
    Version,    // No version that both speak,
    Cipher,     // nor cipher, group or kind of signature,
    Protocol,   // nor protocol of ALPN.
    Rejected,   // ssl_reject_handshake
    Alert,      // The client's.
    Malformed,  // Whatever else is wrong with what it sent.
    Timeout,
    Closed,     // It has gone.
  };

  Kind kind = Kind::Malformed;
  const char* text = "";  // Static storage.
};

}  // namespace beamgate::tls
