// Stream link: what stands for the socket of a connection that is a stream of another connection.
//
// Owner      Connections, from adopt_stream() to the end of the record.
// Thread     Worker loop thread only.
// Readiness  Connections asks for it, as epoll would be asked: after Connections::stream_changed(), and as long as
//            there is some.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace beamgate::net {

class StreamLink {
 public:
  virtual ~StreamLink() = default;

  // As recv() and sendmsg(): bytes, 0 at the peer's end, or -1 and errno, EAGAIN when it has to be waited for.
  virtual ssize_t receive(char* into, size_t room) = 0;
  virtual ssize_t send(const iovec* vectors, size_t count) = 0;
  virtual void shut_write() = 0;  // Nothing more is sent.

  virtual bool readable() const = 0;  // receive() has something to say, be it the end.
  virtual bool writable() const = 0;
  virtual bool broken() const = 0;    // Neither will ever do anything but fail.
};

}  // namespace beamgate::net
