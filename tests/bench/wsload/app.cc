#include "tests/bench/wsload/app.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/bench/wsload/crowd.h"

namespace beamgate::bench {
namespace {

struct Connection {
  std::string in;
  std::string out;
};

// Bytes of the body that the head announces; the gateway always sends Content-Length.
size_t content_length(std::string_view head) {
  for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
    const size_t at = head.find(name);
    if (at == std::string_view::npos) continue;
    size_t length = 0;
    std::from_chars(head.data() + at + name.size(), head.data() + head.size(), length);
    return length;
  }
  return 0;
}

// Answers every complete request in the buffer.
void answer(Connection& connection) {
  while (true) {
    const size_t end = connection.in.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string_view head = std::string_view(connection.in).substr(0, end);
    const size_t length = content_length(head);
    if (connection.in.size() < end + 4 + length) return;
    const bool message = head.find("beamgate.message") != std::string_view::npos;
    const std::string_view body = message ? std::string_view(connection.in).substr(end + 4, length) : "";
    connection.out += "HTTP/1.1 200 OK\r\n";
    if (message) connection.out += "Content-Type: application/octet-stream\r\n";
    connection.out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    connection.out += body;
    connection.in.erase(0, end + 4 + length);
  }
}

int listen_on(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 1024) != 0) die("listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("port %u\n", unsigned(ntohs(address.sin_port)));
  std::fflush(stdout);
  return fd;
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

// False when the connection is over.
bool serve(int fd, Connection& connection) {
  std::array<char, 65536> buffer;
  const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  connection.in.append(buffer.data(), size_t(got));
  answer(connection);
  const bool sent = send(fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL) == ssize_t(connection.out.size());
  connection.out.clear();
  return sent;
}

}  // namespace

int run_app(uint16_t port) {
  const int listener = listen_on(port);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener);
  watch(epoll, STDIN_FILENO);
  std::unordered_map<int, Connection> connections;
  std::array<epoll_event, 256> events{};
  while (true) {
    const int count = epoll_wait(epoll, events.data(), int(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == STDIN_FILENO) return 0;
      if (fd == listener) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, accepted);
      } else if (!serve(fd, connections[fd])) {
        connections.erase(fd);
        close(fd);
      }
    }
  }
}

}  // namespace beamgate::bench
