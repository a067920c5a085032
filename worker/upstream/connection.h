// Connection: one socket to a backend, TCP or unix, non-blocking.
//
// Owner      A ProxyLeg while a request is on it, the Pool while it is idle.
// Thread     Worker loop thread only.
// Errors     send() and receive() say WouldBlock, Closed or System; the user decides.
// TLS        With a target's context it is connecting until the handshake is done.  Nothing outside touches the
//            descriptor.
// Limits     Of what was sent, kSealBytes at most wait as ciphertext; receive() needs room for kReceiveBytesMin.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/model.h"
#include "common/tls/client_session.h"
#include "worker/net/poller.h"
#include "worker/upstream/deadlines.h"

namespace beamgate::upstream {

class BackendProtocol;
class Connection;

// Who has the connection; a call may destroy it.
class ConnectionUser {
 public:
  virtual void on_connection_ready(Connection& connection, uint32_t events) = 0;
  virtual void on_connection_deadline(Connection& connection) = 0;

 protected:
  ~ConnectionUser() = default;
};

class Connection final : public net::PollTarget, public DeadlineTarget {
 public:
  static constexpr size_t kReceiveBytesMin = 2 * tls::Session::kRecordBytes;

  // Starts connecting; is_connecting() afterwards unless it succeeded at once.
  static Result<std::unique_ptr<Connection>> open(const config::Address& address, net::Poller& poller,
                                                  Deadlines& deadlines, ConnectionUser& user,
                                                  const tls::Target& target = {});
  ~Connection() override;

  void set_user(ConnectionUser& user) { user_ = &user; }
  bool is_connecting() const { return connecting_; }
  bool has_reached() const { return reached_; }  // The server is there; TLS may still be about to begin.
  Result<void> finish_connect();  // When it is ready, as long as it is connecting.
  bool speaks(const tls::Target& target) const { return target_ == target; }

  Result<size_t> send(std::string_view bytes);
  Result<size_t> receive(std::span<char> into);  // Closed at EOF.
  void shut_write();      // Nothing more will be sent; the backend is told so.
  bool is_quiet() const;  // Nothing has come and the peer has not closed: one system call.

  // What on_connection_ready() is wanted for; reading at first.
  void want_read(bool wanted);
  void want_write(bool wanted);

  const BackendProtocol* protocol = nullptr;  // What is spoken on it.
  uint32_t requests = 0;   // Begun on this connection.
  int64_t idle_since = 0;  // Monotonic milliseconds; for the pool.

  void on_ready(uint64_t token, uint32_t events) override;

 private:
  static constexpr size_t kSealBytes = 64 << 10;

  Connection(UniqueFd socket, net::Poller& poller, Deadlines& deadlines, ConnectionUser& user,
             const tls::Target& target);
  Result<void> connect_to(const config::Address& address);
  void on_deadline() override;
  void set_wanted(uint32_t wanted);
  void update_interest();
  Result<size_t> receive_bytes(std::span<char> into);
  Result<size_t> send_bytes(std::string_view bytes);
  Result<void> begin_tls(const config::Address& address);
  Result<void> shake_hands();
  Result<size_t> send_tls(std::string_view bytes);
  Result<size_t> receive_tls(std::span<char> into);
  Result<void> push();  // Ciphertext to the kernel, as much as it takes.

  UniqueFd socket_;
  net::Poller& poller_;
  ConnectionUser* user_;
  const tls::Target target_;
  std::unique_ptr<tls::ClientSession> tls_;
  uint32_t wanted_ = 0;    // By the user.
  uint32_t interest_ = 0;  // In the set: what is wanted, and room for ciphertext.
  bool registered_ = false;
  bool connecting_ = false;
  bool reached_ = false;
};

}  // namespace beamgate::upstream
