#include "tests/bench/wsload/crowd.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace beamgate::bench {
namespace {

constexpr uint32_t kPortsPerSource = 20'000;
constexpr size_t kReadBytes = 256 << 10;
constexpr int kEventsMax = 512;

}  // namespace

uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return uint64_t(time.tv_sec) * 1'000'000'000 + uint64_t(time.tv_nsec);
}

void die(const char* what) {
  std::fprintf(stderr, "wsload: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

Crowd::Crowd(const Options& options, uint32_t process, uint32_t connections)
    : options_(options), process_(process), clients_(connections), buffer_(kReadBytes) {
  address_.sin_family = AF_INET;
  address_.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.host.c_str(), &address_.sin_addr) != 1) die("not an IPv4 address");
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) die("epoll_create1");
  handshake_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.host +
               "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

Crowd::~Crowd() {
  for (const Client& client : clients_) {
    if (client.fd >= 0) close(client.fd);
  }
  close(epoll_);
}

void Crowd::run(Workload& workload) {
  workload_ = &workload;
  std::array<epoll_event, kEventsMax> events{};
  open_some();
  while (true) {
    const int count = epoll_wait(epoll_, events.data(), kEventsMax, 20);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; ++i) on_event(*static_cast<Client*>(events[i].data.ptr), events[i].events);
    open_some();
    if (!workload.on_turn(now_ns())) return;
  }
}

void Crowd::open_some() {
  while (started_ < clients_.size() && started_ - open_ < options_.opening) {
    clients_[started_].number = uint32_t(started_);
    open(clients_[started_++]);
  }
}

void Crowd::open(Client& client) {
  client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client.fd < 0) die("socket");
  const int on = 1;
  setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(client.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if ((ntohl(address_.sin_addr.s_addr) >> 24) == 127) {
    sockaddr_in source{};
    source.sin_family = AF_INET;
    const uint32_t sources = uint32_t(clients_.size()) / kPortsPerSource + 1;
    source.sin_addr.s_addr = htonl(0x7f000002 + process_ * sources + client.number / kPortsPerSource);
    if (bind(client.fd, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0) die("bind");
  }
  if (connect(client.fd, reinterpret_cast<sockaddr*>(&address_), sizeof address_) != 0 && errno != EINPROGRESS) {
    die("connect");
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.ptr = &client;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event) != 0) die("epoll_ctl");
}

void Crowd::on_event(Client& client, uint32_t events) {
  if (client.state == Client::State::Connecting && (events & (EPOLLOUT | EPOLLERR)) != 0) on_connected(client);
  if (client.state == Client::State::Connecting) return;
  if ((events & EPOLLOUT) != 0 && !client.unsent.empty()) flush(client);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) on_readable(client);
}

void Crowd::on_connected(Client& client) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  if (error != 0) die("connect");
  if (!workload_->websocket()) return become_open(client);
  client.state = Client::State::Handshaking;
  send(client, handshake_);
}

void Crowd::on_readable(Client& client) {
  while (true) {
    const ssize_t got = recv(client.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got <= 0) die("the server ended a connection");
    const std::span<const char> bytes(buffer_.data(), size_t(got));
    if (client.state == Client::State::Handshaking) {
      on_handshake(client, bytes);
    } else {
      client.received += bytes.size();
      workload_->on_bytes(client, bytes);
    }
    if (bytes.size() < buffer_.size()) return;
  }
}

void Crowd::on_handshake(Client& client, std::span<const char> bytes) {
  client.head.append(bytes.data(), bytes.size());
  const size_t end = client.head.find("\r\n\r\n");
  if (end == std::string::npos) return;
  if (!client.head.starts_with("HTTP/1.1 101")) {
    std::fprintf(stderr, "wsload: refused: %s\n", client.head.c_str());
    std::exit(1);
  }
  const std::string rest = client.head.substr(end + 4);
  client.head = std::string();
  become_open(client);
  if (!rest.empty()) {
    client.received += rest.size();
    workload_->on_bytes(client, rest);
  }
}

void Crowd::become_open(Client& client) {
  client.state = Client::State::Open;
  ++open_;
  workload_->on_open(client);
  if (all_open()) workload_->on_all_open();
}

void Crowd::send(Client& client, std::string_view bytes) {
  if (!client.unsent.empty()) {
    client.unsent.append(bytes);
    return;
  }
  const ssize_t sent = ::send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) die("send");
  client.unsent.append(bytes.substr(size_t(std::max<ssize_t>(sent, 0))));
}

void Crowd::flush(Client& client) {
  std::string bytes;
  bytes.swap(client.unsent);
  send(client, bytes);
}

}  // namespace beamgate::bench
