#include "tests/unit/worker/hook/tiny_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"

namespace beamgate::hook {
namespace {

constexpr size_t kFloodBytes = 100'000'000;

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

size_t content_length(const std::string& head) {
  const size_t at = to_lower(head).find("content-length:");
  return at == std::string::npos ? 0 : strtoul(head.c_str() + at + 15, nullptr, 10);
}

}  // namespace

Answer ok(const std::string& body, const std::string& fields) {
  return {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body};
}

Answer status(int code, const std::string& fields) {
  return {"HTTP/1.1 " + std::to_string(code) + " X\r\nContent-Length: 0\r\n" + fields + "\r\n"};
}

TinyServer::TinyServer(Reply reply, const std::string& unix_path) : reply_(std::move(reply)) {
  if (unix_path.empty()) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    BG_ASSERT(bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    BG_ASSERT(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
  } else {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, unix_path.c_str(), unix_path.size() + 1);
    BG_ASSERT(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  BG_ASSERT(listen(listener_, 128) == 0);
  acceptor_ = std::thread([this] { accept_all(); });
}

TinyServer::~TinyServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) close(socket);
  close(listener_);
}

size_t TinyServer::connections() const {
  const std::lock_guard lock(mutex_);
  return sockets_.size();
}

std::vector<std::string> TinyServer::heads() const {
  const std::lock_guard lock(mutex_);
  return heads_;
}

std::vector<std::string> TinyServer::bodies() const {
  const std::lock_guard lock(mutex_);
  return bodies_;
}

void TinyServer::accept_all() {
  for (;;) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    if (stopping_) return;
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

// The descriptor stays open until the end, so that shutdown() above can't hit another; a Close is a shutdown.
void TinyServer::serve(int socket) {
  std::string buffer;
  char part[65536];
  for (;;) {
    const size_t end = buffer.find("\r\n\r\n");
    if (end == std::string::npos || buffer.size() < end + 4 + content_length(buffer.substr(0, end + 2))) {
      const ssize_t got = recv(socket, part, sizeof part, 0);
      if (got <= 0) break;
      buffer.append(part, static_cast<size_t>(got));
      continue;
    }
    const std::string head = buffer.substr(0, end + 2);
    const std::string body = buffer.substr(end + 4, content_length(head));
    buffer.erase(0, end + 4 + body.size());
    {
      const std::lock_guard lock(mutex_);
      heads_.push_back(head);
      bodies_.push_back(body);
    }
    Answer answer;
    {
      const std::lock_guard lock(reply_mutex_);
      answer = reply_(head, body);
    }
    if (!send_all(socket, answer.bytes) || answer.then == Answer::Then::Close) break;
    const std::string flood(65536, 'x');
    size_t flooded = answer.then == Answer::Then::Flood ? 0 : kFloodBytes;
    while (flooded < kFloodBytes && send_all(socket, flood)) flooded += flood.size();
    if (answer.then == Answer::Then::Flood) break;
    if (answer.then == Answer::Then::Hang) {
      while (recv(socket, part, sizeof part, 0) > 0) continue;
      break;
    }
  }
  shutdown(socket, SHUT_RDWR);
}

}  // namespace beamgate::hook
