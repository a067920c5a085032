#include "common/ipc/channel.h"

#include <sys/socket.h>

#include <cstring>

namespace beamgate::ipc {
namespace {

// Eight packets in flight; the kernel counts its own overhead too and may grant less (net.core.wmem_max),
// which one packet always fits.
constexpr int kSendBufferBytes = 8 * (128 << 10);

constexpr size_t kControlBytes = CMSG_SPACE(kPacketDescriptorsMax * sizeof(int));

// REQUIRES: control has kControlBytes and outlives the message.
void put_descriptors(msghdr& message, char* control, const Descriptors& descriptors) {
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  unsigned char* out = CMSG_DATA(header);
  for (const UniqueFd& descriptor : descriptors) {
    const int fd = descriptor.get();
    memcpy(out, &fd, sizeof fd);
    out += sizeof fd;
  }
}

Descriptors take_descriptors(msghdr& message) {
  Descriptors out;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      out.emplace_back(fd);
    }
  }
  return out;
}

bool peer_is_gone(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

}  // namespace

void grow_send_buffer(int fd) {
  // The forced form needs a privilege; without it the limit of the system is what we get.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes, sizeof kSendBufferBytes) == 0) return;
  static_cast<void>(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes));
}

Channel::Channel(UniqueFd socket) : socket_(std::move(socket)), packet_(new char[kPacketBytesMax]) {
  grow_send_buffer(socket_.get());
}

Result<std::pair<UniqueFd, UniqueFd>> Channel::make_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("can't make the bus socket pair");
  }
  return std::pair<UniqueFd, UniqueFd>(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<Channel::Progress> Channel::flush() {
  while (!writer_.empty()) {
    const FrameWriter::Packet packet = writer_.front();
    iovec parts[2] = {{const_cast<PacketHeader*>(&packet.header), sizeof packet.header},
                      {const_cast<char*>(packet.payload.data()), packet.payload.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) char control[kControlBytes];
    if (!packet.descriptors->empty()) put_descriptors(message, control, *packet.descriptors);
    const ssize_t written = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return Progress::More;
      if (peer_is_gone(errno)) return Error{Code::Closed, 0, "the other end of the bus is gone"};
      return system_error("can't write to the bus");
    }
    bytes_sent_ += static_cast<uint64_t>(written);
    writer_.pop();
  }
  return Progress::Done;
}

Result<std::optional<size_t>> receive_packet(int socket, char* packet, int flags, Descriptors* descriptors) {
  iovec part{packet, kPacketBytesMax};
  alignas(cmsghdr) char control[kControlBytes];
  msghdr message{};
  ssize_t received;
  do {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptors != nullptr) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
    }
    received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    // A peer that died with unread bytes leaves ECONNRESET, once, in front of what it had sent itself.
  } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  if (received < 0) {
    if (errno == EAGAIN) return std::optional<size_t>();
    return system_error("can't read from the bus");
  }
  if (descriptors != nullptr) *descriptors = take_descriptors(message);
  if (received == 0) return Error{Code::Closed, 0, "the other end of the bus is gone"};
  const int cut = descriptors != nullptr ? MSG_TRUNC | MSG_CTRUNC : MSG_TRUNC;
  if ((message.msg_flags & cut) != 0) {
    return Error{Code::Invalid, 0, "bus packet too large, or its descriptors did not fit"};
  }
  return std::optional<size_t>(static_cast<size_t>(received));
}

Result<bool> Channel::read_packet() {
  Descriptors descriptors;
  const auto received = receive_packet(socket_.get(), packet_.get(), 0, &descriptors);
  if (!received.ok()) return received.error();
  if (!received.value()) return false;
  bytes_received_ += *received.value();
  const std::string_view packet(packet_.get(), *received.value());
  if (auto begun = reader_.begin(packet, std::move(descriptors)); !begun.ok()) return begun.error();
  return true;
}

}  // namespace beamgate::ipc
