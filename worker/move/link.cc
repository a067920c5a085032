#include "worker/move/link.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace beamgate::move {
namespace {

constexpr size_t kControlBytes = CMSG_SPACE(Link::kDescriptorsMax * sizeof(int));
// A packet and its overhead; more than the default on every system is not needed.
constexpr int kSendBufferBytes = 4 * static_cast<int>(Link::kPacketBytesMax);

}  // namespace

Link::Link(uv::Loop& loop, UniqueFd socket, std::function<void()> on_ready)
    : socket_(std::move(socket)), packet_(new char[kPacketBytesMax]) {
  static_cast<void>(setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes));
  auto watcher = uv::PollWatcher::open(loop, socket_.get(), [this, on_ready](uv::PollWatcher::Ready ready) {
    if (ready.writable) flush();
    on_ready();
  });
  if (!watcher.ok()) return;
  watcher_ = std::move(watcher).value();
  watcher_->watch(true, false);
}

// What goes wrong here shows again when the socket is read.
void Link::flush() {
  while (!queue_.empty()) {
    const Result<void> sent = send_packet(queue_.front(), {});
    if (!sent.ok() && sent.error().code == Code::WouldBlock) break;
    queue_.pop_front();
  }
  if (watcher_ != nullptr) watcher_->watch(true, !queue_.empty());
}

Result<void> Link::send_packet(std::string_view packet, std::span<const int> descriptors) {
  iovec part{const_cast<char*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[kControlBytes] = {};
  if (!descriptors.empty()) {
    BG_ASSERT(descriptors.size() <= kDescriptorsMax);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    const bool later = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
    if (later) return Error{Code::WouldBlock, errno, "no room for the packet"};
    return system_error("can't send to the other worker");
  }
}

Result<std::string_view> Link::read_packet(Descriptors& descriptors) {
  iovec part{packet_.get(), kPacketBytesMax};
  alignas(cmsghdr) char control[kControlBytes];
  msghdr message{};
  ssize_t received;
  do {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    received = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    // A peer that died with unread bytes leaves ECONNRESET, once, in front of what it had sent itself.
  } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  if (received < 0) {
    if (errno == EAGAIN) return Error{Code::WouldBlock, 0, "nothing to read"};
    return system_error("can't read from the other worker");
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  if (received == 0) return Error{Code::Closed, 0, "the other worker is gone"};
  if (message.msg_flags & MSG_TRUNC) return Error{Code::Invalid, 0, "packet too large"};
  return std::string_view(packet_.get(), static_cast<size_t>(received));
}

}  // namespace beamgate::move
