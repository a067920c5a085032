// The only place that includes <linux/tcp.h>, whose names clash with those of <netinet/tcp.h>.
#include "worker/net/tcp_counts.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace beamgate::net {
namespace {

// include/net/tcp_states.h
enum TcpState : uint8_t {
  kFinWait1 = 4, kFinWait2 = 5, kTimeWait = 6, kClose = 7, kCloseWait = 8, kLastAck = 9, kClosing = 11,
};

bool peer_has_finished(uint8_t state) {
  return state == kCloseWait || state == kLastAck || state == kClosing || state == kTimeWait;
}

bool we_have_finished(uint8_t state) {
  return state == kFinWait1 || state == kFinWait2 || state == kClosing || state == kLastAck || state == kTimeWait;
}

bool read_info(int fd, tcp_info& info) {
  memset(&info, 0, sizeof info);
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  return length >= offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;
}

}  // namespace

std::optional<TcpCounts> tcp_counts(int fd) {
  constexpr int kTries = 1000;
  tcp_info before;
  if (!read_info(fd, before)) return std::nullopt;
  // Bytes go on arriving and being acknowledged: the four numbers must be of one moment.
  for (int i = 0; i < kTries; ++i) {
    int unread = 0;
    int unacked = 0;
    if (ioctl(fd, SIOCINQ, &unread) != 0 || ioctl(fd, SIOCOUTQ, &unacked) != 0) return std::nullopt;
    tcp_info after;
    if (!read_info(fd, after)) return std::nullopt;
    const bool same = before.tcpi_state == after.tcpi_state && before.tcpi_bytes_received == after.tcpi_bytes_received &&
                      before.tcpi_bytes_acked == after.tcpi_bytes_acked;
    before = after;
    if (!same) continue;
    if (after.tcpi_state == kClose) return std::nullopt;
    TcpCounts counts;
    counts.consumed = after.tcpi_bytes_received - static_cast<uint64_t>(unread) - (peer_has_finished(after.tcpi_state) ? 1 : 0);
    counts.written = after.tcpi_bytes_acked + static_cast<uint64_t>(unacked) - (we_have_finished(after.tcpi_state) ? 1 : 0);
    return counts;
  }
  return std::nullopt;
}

}  // namespace beamgate::net
