#include "worker/net/reset.h"

#include <sys/socket.h>

namespace beamgate::net {

void reset_when_closed(int fd) {
  const linger reset{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

}  // namespace beamgate::net
