#include "worker/upstream/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace beamgate::upstream {

Result<std::unique_ptr<Connection>> Connection::open(const config::Address& address, net::Poller& poller,
                                                     Deadlines& deadlines, ConnectionUser& user) {
  const int family = address.storage.ss_family;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("can't make a socket");
  if (family != AF_UNIX) {
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  std::unique_ptr<Connection> connection(new Connection(std::move(socket), poller, deadlines, user));
  Result<void> connecting = connection->connect_to(address);
  if (!connecting.ok()) return connecting.error();
  return connection;
}

Connection::Connection(UniqueFd socket, net::Poller& poller, Deadlines& deadlines, ConnectionUser& user)
    : DeadlineTarget(deadlines), socket_(std::move(socket)), poller_(poller), user_(&user) {}

Connection::~Connection() {
  if (registered_) poller_.remove(socket_.get(), *this);
}

Result<void> Connection::connect_to(const config::Address& address) {
  const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
  if (connect(socket_.get(), to, address.length) != 0) {
    if (errno != EINPROGRESS) return system_error("can't connect");
    connecting_ = true;
  }
  interest_ = connecting_ ? EPOLLOUT : EPOLLIN;
  Result<void> added = poller_.add(socket_.get(), *this, interest_);
  registered_ = added.ok();
  return added;
}

Result<void> Connection::finish_connect() {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return Error{Code::System, error, "can't connect"};
  connecting_ = false;
  update_interest(EPOLLIN);
  return {};
}

Result<size_t> Connection::send(std::string_view bytes) {
  for (;;) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN) return Error{Code::WouldBlock, 0, "the send buffer is full"};
    if (errno != EINTR) return system_error("can't send");
  }
}

Result<size_t> Connection::receive(std::span<char> into) {
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
  update_interest(wanted ? interest_ | EPOLLIN : interest_ & ~static_cast<uint32_t>(EPOLLIN));
}

void Connection::want_write(bool wanted) {
  update_interest(wanted ? interest_ | EPOLLOUT : interest_ & ~static_cast<uint32_t>(EPOLLOUT));
}

void Connection::update_interest(uint32_t interest) {
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
  user_->on_connection_ready(*this, events);
}

void Connection::on_deadline() { user_->on_connection_deadline(*this); }

}  // namespace beamgate::upstream
