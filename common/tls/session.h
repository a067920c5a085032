// Session: one end of a TLS connection: ciphertext in and out as bytes, no socket.
//
// Owner      Whoever moves the bytes; it lives in the process's heap and ends with it.
// Thread     Worker loop thread only.
// States     Handshaking -> Established -> Closed (close_notify has come) ; any -> Failed.
// Memory     None but OpenSSL's own state while nothing is under way: its buffers are released, `wire` is empty.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/tls/handles.h"
#include "common/tls/handshake_failure.h"
#include "common/tls/wire.h"

namespace beamgate::tls {

class Session {
 public:
  enum class State : uint8_t { Handshaking, Established, Closed, Failed };

  static constexpr size_t kRecordBytes = 16 << 10;  // RFC 8446 section 5.1

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  State state() const { return state_; }

  // Takes all of `ciphertext`; plaintext goes to `into`, which must have room for as much and a record more.
  // Returns how much came.  One that stops behind its handshake leaves what follows that: unread().
  size_t receive(std::span<const char> ciphertext, std::span<char> into);
  std::span<const char> unread() const { return wire.input; }
  // False: it can't be sent (any more).
  [[nodiscard]] bool send(std::string_view plaintext);
  void close();  // Says close_notify, once.

  // Ciphertext to be written to the socket.
  Wire wire;

  const HandshakeFailure& failure() const { return failure_; }  // Why it is Failed, in its handshake or later.

 protected:
  Session() = default;
  ~Session() = default;
  // False: there is no memory.
  bool attach(SSL_CTX* context);
  SSL* ssl() const { return ssl_.get(); }
  void fail();

  bool stops_when_established_ = false;
  size_t last_flight_bytes_ = 0;  // Of what the handshake has written when it ended.

 private:
  void shake_hands();

  SslPtr ssl_;
  State state_ = State::Handshaking;
  bool said_goodbye_ = false;
  HandshakeFailure failure_;
};

}  // namespace beamgate::tls
