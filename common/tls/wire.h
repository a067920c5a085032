// Wire: where a session's ciphertext comes from and goes to: memory, never a socket.
//
// Owner      The session; its BIO points at it, so it must not move while that lives.
// Input      Borrowed for one call; OpenSSL takes all of it, since it keeps what is less than a record itself.
// Output     Grows as OpenSSL writes; whoever moves bytes to the socket tells how far it came.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/tls/handles.h"

namespace beamgate::tls {

struct Wire {
  std::span<const char> input;
  std::string output;
  size_t sent = 0;  // Of `output`.

  std::string_view pending() const { return std::string_view(output).substr(sent); }
  void took(size_t bytes) {
    sent += bytes;
    if (sent < output.size()) return;
    output.clear();
    sent = 0;
  }
};

// A BIO over it for both directions, for SSL_set_bio(3); null: there is no memory.
BIO* make_bio(Wire& wire);

}  // namespace beamgate::tls
