#include "master/ctl/control_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstring>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/crypto.h"

namespace beamgate::master {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr size_t kHeadBytesMax = 64 << 10;

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Appends what comes next; 0 at the end, -1 after an error.
ssize_t receive(int socket, std::string& to) {
  char buffer[64 << 10];
  ssize_t got;
  do {
    got = recv(socket, buffer, sizeof buffer, 0);
  } while (got < 0 && errno == EINTR);
  if (got > 0) to.append(buffer, static_cast<size_t>(got));
  return got;
}

void set_patience(int socket, int seconds) {
  const timeval patience{seconds, 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

// Of an answer's head, as the gateway writes them.
std::string field_of(std::string_view head, std::string_view name) {
  const size_t at = head.find("\r\n" + std::string(name) + ": ");
  if (at == head.npos) return {};
  head.remove_prefix(at + 2 + name.size() + 2);
  return std::string(head.substr(0, head.find("\r\n")));
}

std::string close_text(std::string_view payload) {
  std::string out = "the gateway has closed it";
  if (payload.size() < 2) return out;
  out += " with " + std::to_string(load_be<uint16_t>(payload.data()));
  return payload.size() == 2 ? out : out + ": " + std::string(payload.substr(2));
}

int status_of(std::string_view head) {
  int status = 0;
  if (head.size() > 12) std::from_chars(head.data() + 9, head.data() + 12, status);
  return status;
}

std::string mask_frame(uint8_t opcode, std::string_view payload) {
  char key[4];
  crypto::fill_random(key, sizeof key);
  std::string out = {static_cast<char>(0x80 | opcode), static_cast<char>(0x80 | payload.size())};
  out.append(key, sizeof key);
  for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ key[i % 4]);
  return out;
}

// A server's frame at the beginning of bytes: they are unmasked, and messages come whole.
struct Frame {
  uint8_t opcode = 0;
  std::string_view payload;
  size_t bytes = 0;  // 0: more is needed.
};

bool read_frame(std::string_view bytes, Frame& out) {
  out = {};
  if (bytes.size() < 2) return true;
  const auto first = static_cast<uint8_t>(bytes[0]);
  uint64_t length = static_cast<uint8_t>(bytes[1]);
  size_t head = 2;
  if ((first & 0x70) != 0 || length > 127) return false;
  if (length == 126) {
    head = 4;
    if (bytes.size() < head) return true;
    length = load_be<uint16_t>(bytes.data() + 2);
  } else if (length == 127) {
    head = 10;
    if (bytes.size() < head) return true;
    length = load_be<uint64_t>(bytes.data() + 2);
  }
  if (length > ControlClient::kFrameBytesMax) return false;
  if (bytes.size() < head + length) return true;
  out = {static_cast<uint8_t>(first & 0x0f), bytes.substr(head, length), head + length};
  return true;
}

}  // namespace

std::string percent_encode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Result<UniqueFd> ControlClient::connect() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return Error{Code::Invalid, 0, "the path of the control socket is too long"};
  memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd out(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!out.valid()) return system_error("can't make a socket");
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() + 1);
  if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return system_error("can't connect to the control socket");
  }
  return out;
}

Result<ControlClient::Answer> ControlClient::request(std::string_view method, std::string_view target,
                                                     std::string_view body) const {
  auto socket = connect();
  if (!socket.ok()) return socket.error();
  set_patience(socket.value().get(), kAnswerSeconds);
  const std::string head = std::string(method) + ' ' + std::string(target) +
                           " HTTP/1.1\r\nHost: beamgate.control\r\nConnection: close\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n";
  if (!send_all(socket.value().get(), head + std::string(body))) return system_error("can't send the request");
  std::string bytes;
  ssize_t got = 1;
  while (got > 0 && bytes.size() <= kAnswerBytesMax) got = receive(socket.value().get(), bytes);
  if (got < 0) return system_error("no answer");
  const size_t end = bytes.find(kHeadEnd);
  if (end == bytes.npos || got != 0) return Error{Code::Invalid, 0, "not an answer of a gateway, or too long a one"};
  return Answer{status_of(bytes), bytes.substr(end + kHeadEnd.size())};
}

// What comes behind the handshake.  The channel's name travels in a field, which says it as it is; an argument would be
// left percent-encoded.
Result<std::string> ControlClient::open_tap(int socket, const Tap& tap, std::string& connection) const {
  char nonce[16];
  crypto::fill_random(nonce, sizeof nonce);
  std::string head = "GET " + std::string(tap.target) + " HTTP/1.1\r\nHost: beamgate.control\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  if (!tap.channel.empty()) head += "X-Channel: " + std::string(tap.channel) + "\r\n";
  head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + crypto::base64_encode({nonce, sizeof nonce}) + "\r\n\r\n";
  if (!send_all(socket, head)) return system_error("can't send the request");
  set_patience(socket, kAnswerSeconds);
  std::string bytes;
  size_t end;
  while ((end = bytes.find(kHeadEnd)) == bytes.npos) {
    if (bytes.size() > kHeadBytesMax || receive(socket, bytes) <= 0) return Error{Code::Closed, 0, "no answer to the handshake"};
  }
  if (status_of(bytes) != 101) return Error{Code::Denied, 0, "the gateway refused the handshake"};
  connection = field_of(std::string_view(bytes).substr(0, end + 2), "X-Connection");
  return bytes.substr(end + kHeadEnd.size());
}

Result<std::string> ControlClient::tap(const Tap& tap) const {
  if (tap.channel.find_first_of("\r\n") != tap.channel.npos) return Error{Code::Invalid, 0, "not a channel name"};
  auto made = connect();
  if (!made.ok()) return made.error();
  const int socket = made.value().get();
  std::string connection;
  auto opened = open_tap(socket, tap, connection);
  if (!opened.ok()) return opened;
  std::string bytes = std::move(opened).value();
  set_patience(socket, 1);
  for (int64_t next_ms = 0;;) {
    if (const int64_t now_ms = monotonic_ms(); now_ms >= next_ms) {
      next_ms = now_ms + 1'000;
      if (tap.on_second && !tap.on_second(connection)) return std::string();
    }
    Frame frame;
    if (!read_frame(bytes, frame)) return Error{Code::Invalid, 0, "not a WebSocket frame of a gateway"};
    if (frame.bytes == 0) {
      const ssize_t got = receive(socket, bytes);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return Error{Code::Closed, 0, "the gateway has gone"};
      continue;
    }
    const bool is_message = frame.opcode == 1 || frame.opcode == 2;
    if (is_message && !tap.on_message(frame.opcode == 1, frame.payload)) return std::string();
    if (frame.opcode == 8) return close_text(frame.payload);
    if (frame.opcode == 9) send_all(socket, mask_frame(10, frame.payload));
    bytes.erase(0, frame.bytes);
  }
}

}  // namespace beamgate::master
