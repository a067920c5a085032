#include "worker/upstream/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/base/descriptor_room.h"

namespace beamgate::upstream {

Result<std::unique_ptr<Connection>> Connection::open(const config::Address& address, net::Poller& poller,
                                                     Deadlines& deadlines, ConnectionUser& user,
                                                     const tls::Target& target) {
  const int family = address.storage.ss_family;
  UniqueFd socket = opened_for_client(UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
  if (!socket.valid()) return system_error("can't make a socket");
  if (family != AF_UNIX) {
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  std::unique_ptr<Connection> connection(new Connection(std::move(socket), poller, deadlines, user, target));
  Result<void> connecting = connection->connect_to(address);
  if (!connecting.ok()) return connecting.error();
  return connection;
}

Connection::Connection(UniqueFd socket, net::Poller& poller, Deadlines& deadlines, ConnectionUser& user,
                       const tls::Target& target)
    : DeadlineTarget(deadlines), socket_(std::move(socket)), poller_(poller), user_(&user), target_(target) {}

Connection::~Connection() {
  if (tls_ != nullptr) {
    // A session whose connection ends without close_notify can't be resumed.
    tls_->close();
    static_cast<void>(push());
  }
  if (registered_) poller_.remove(socket_.get(), *this);
}

Result<void> Connection::connect_to(const config::Address& address) {
  const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
  if (connect(socket_.get(), to, address.length) != 0) {
    if (errno != EINPROGRESS) return system_error("can't connect");
    connecting_ = true;
  }
  if (target_.context != nullptr) {
    // The first thing to do is to say hello, as soon as the socket can be written.
    Result<void> begun = begin_tls(address);
    if (!begun.ok()) return begun;
    connecting_ = true;
  }
  wanted_ = connecting_ ? EPOLLOUT : EPOLLIN;
  interest_ = wanted_;
  Result<void> added = poller_.add(socket_.get(), *this, interest_);
  registered_ = added.ok();
  return added;
}

Result<void> Connection::finish_connect() {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return Error{Code::System, error, "can't connect"};
  reached_ = true;
  if (tls_ != nullptr) return shake_hands();
  connecting_ = false;
  set_wanted(EPOLLIN);
  return {};
}

Result<size_t> Connection::send(std::string_view bytes) { return tls_ != nullptr ? send_tls(bytes) : send_bytes(bytes); }

Result<size_t> Connection::receive(std::span<char> into) {
  return tls_ != nullptr ? receive_tls(into) : receive_bytes(into);
}

Result<size_t> Connection::send_bytes(std::string_view bytes) {
  for (;;) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN) return Error{Code::WouldBlock, 0, "the send buffer is full"};
    if (errno != EINTR) return system_error("can't send");
  }
}

Result<size_t> Connection::receive_bytes(std::span<char> into) {
  for (;;) {
    const ssize_t received = recv(socket_.get(), into.data(), into.size(), 0);
    if (received > 0) return static_cast<size_t>(received);
    if (received == 0) return Error{Code::Closed, 0, "the backend closed the connection"};
    if (errno == EAGAIN) return Error{Code::WouldBlock, 0, "nothing to receive"};
    if (errno != EINTR) return system_error("can't receive");
  }
}

bool Connection::is_quiet() const {
  char byte;
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void Connection::shut_write() { shutdown(socket_.get(), SHUT_WR); }

void Connection::want_read(bool wanted) {
  set_wanted(wanted ? wanted_ | EPOLLIN : wanted_ & ~static_cast<uint32_t>(EPOLLIN));
}

void Connection::want_write(bool wanted) {
  set_wanted(wanted ? wanted_ | EPOLLOUT : wanted_ & ~static_cast<uint32_t>(EPOLLOUT));
}

void Connection::set_wanted(uint32_t wanted) {
  wanted_ = wanted;
  update_interest();
}

void Connection::update_interest() {
  const bool waits = tls_ != nullptr && !tls_->wire.pending().empty();
  const uint32_t interest = wanted_ | (waits ? EPOLLOUT : 0u);
  if (interest == interest_) return;
  interest_ = interest;
  if (registered_) {
    poller_.modify(socket_.get(), *this, interest_);
  } else if (interest_ != 0) {
    registered_ = poller_.add(socket_.get(), *this, interest_).ok();
  }
}

void Connection::on_ready(uint64_t, uint32_t events) {
  if (interest_ == 0) {
    // Hang-ups can't be masked: out of the set until somebody wants something again.
    poller_.remove(socket_.get(), *this);
    registered_ = false;
    return;
  }
  if (!connecting_ && (events & EPOLLOUT) != 0 && tls_ != nullptr) {
    static_cast<void>(push());  // An error shows again when the socket is read.
    if ((wanted_ & EPOLLOUT) == 0) events &= ~static_cast<uint32_t>(EPOLLOUT);
    if (events == 0) return;
  }
  user_->on_connection_ready(*this, events);
}

void Connection::on_deadline() { user_->on_connection_deadline(*this); }

// --- TLS.

Result<void> Connection::begin_tls(const config::Address& address) {
  tls_ = tls::ClientSession::open(target_, address.text);
  if (tls_ == nullptr) return Error{Code::System, 0, "can't make a TLS session"};
  return {};
}

// One step of it; the next is due when the socket is ready again.
Result<void> Connection::shake_hands() {
  char cipher[tls::Session::kRecordBytes];
  char plain[kReceiveBytesMin];
  size_t came = 0;
  if (interest_ & EPOLLIN) {
    const Result<size_t> received = receive_bytes(cipher);
    if (received.ok()) came = received.value();
    if (!received.ok() && received.error().code != Code::WouldBlock) return received.error();
  }
  const size_t spoken = tls_->receive({cipher, came}, plain);
  Result<void> pushed = push();
  if (tls_->state() == tls::Session::State::Failed) return Error{Code::Invalid, 0, tls_->failure().text};
  if (!pushed.ok()) return pushed;
  if (spoken > 0) return Error{Code::Invalid, 0, "the backend spoke before it was asked"};
  connecting_ = tls_->state() == tls::Session::State::Handshaking;
  set_wanted(EPOLLIN);
  return {};
}

Result<void> Connection::push() {
  while (!tls_->wire.pending().empty()) {
    const Result<size_t> sent = send_bytes(tls_->wire.pending());
    if (!sent.ok() && sent.error().code != Code::WouldBlock) return sent.error();
    if (!sent.ok()) break;
    tls_->wire.took(sent.value());
  }
  if (tls_->wire.pending().empty()) std::string().swap(tls_->wire.output);
  update_interest();
  return {};
}

Result<size_t> Connection::send_tls(std::string_view bytes) {
  Result<void> pushed = push();
  if (!pushed.ok()) return pushed.error();
  if (!tls_->wire.pending().empty()) return Error{Code::WouldBlock, 0, "the send buffer is full"};
  const std::string_view part = bytes.substr(0, kSealBytes);
  if (!tls_->send(part)) return Error{Code::System, 0, tls_->failure().text};
  pushed = push();
  if (!pushed.ok()) return pushed.error();
  return part.size();
}

// Only close_notify is an orderly end: without it somebody may have cut the stream.
Result<size_t> Connection::receive_tls(std::span<char> into) {
  BG_ASSERT(into.size() >= kReceiveBytesMin);
  char cipher[tls::Session::kRecordBytes];
  for (;;) {
    if (tls_->state() == tls::Session::State::Closed) return Error{Code::Closed, 0, "the backend closed the connection"};
    const Result<size_t> received = receive_bytes(cipher);
    if (!received.ok() && received.error().code == Code::Closed) {
      return Error{Code::System, 0, "the backend ended without close_notify"};
    }
    if (!received.ok()) return received;
    const size_t got = tls_->receive({cipher, received.value()}, into);
    Result<void> pushed = push();
    if (got > 0) return got;
    if (tls_->state() == tls::Session::State::Failed) return Error{Code::System, 0, tls_->failure().text};
    if (!pushed.ok()) return pushed.error();
  }
}

}  // namespace beamgate::upstream
