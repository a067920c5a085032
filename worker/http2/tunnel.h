// Tunnel: the stream of a WebSocket's extended CONNECT, as the socket of a connection of its own (RFC 8441).
//
// What the WebSocket layer reads is taken from the stream's window only then, and what it writes goes into the stream's
// output, kHighWaterBytes at most: the rest waits in the connection's queue, as behind a full socket.
//
// Owner      net::Connections, as the link of the stream's record.  Either of stream and tunnel may end first.
#pragma once

#include "worker/net/stream_link.h"

namespace beamgate::http2 {

class Stream;

class Tunnel final : public net::StreamLink {
 public:
  explicit Tunnel(Stream& stream) : stream_(&stream) {}
  ~Tunnel() override;

  void stream_ended() { stream_ = nullptr; }  // It was reset, or its connection is gone.

  ssize_t receive(char* into, size_t room) override;
  ssize_t send(const iovec* vectors, size_t count) override;
  void shut_write() override;
  bool readable() const override;
  bool writable() const override;
  bool broken() const override { return stream_ == nullptr; }

 private:
  Stream* stream_;
};

}  // namespace beamgate::http2
