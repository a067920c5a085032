#include "worker/http2/tunnel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "worker/http2/stream.h"

namespace beamgate::http2 {

Tunnel::~Tunnel() {
  if (stream_ != nullptr && stream_->is_link(this)) stream_->tunnel_ended();
}

ssize_t Tunnel::receive(char* into, size_t room) {
  if (broken()) return errno = ECONNRESET, -1;
  const std::string_view input = stream_->input().substr(0, room);
  if (input.empty() && !stream_->request_ended()) return errno = EAGAIN, -1;
  memcpy(into, input.data(), input.size());
  const size_t bytes = input.size();
  stream_->took_input(bytes);
  return static_cast<ssize_t>(bytes);
}

ssize_t Tunnel::send(const iovec* vectors, size_t count) {
  if (broken()) return errno = EPIPE, -1;
  size_t sent = 0;
  for (size_t i = 0; i < count && writable(); ++i) {
    const size_t room = http::ServedExchange::kHighWaterBytes - stream_->output().size();
    const size_t part = std::min(room, vectors[i].iov_len);
    stream_->add_output({static_cast<const char*>(vectors[i].iov_base), part});
    sent += part;
  }
  if (sent == 0) return errno = EAGAIN, -1;
  return static_cast<ssize_t>(sent);
}

void Tunnel::shut_write() {
  if (!broken()) stream_->end_output();
}

bool Tunnel::readable() const { return broken() || !stream_->input().empty() || stream_->request_ended(); }

bool Tunnel::writable() const {
  return broken() || stream_->output().size() < http::ServedExchange::kHighWaterBytes;
}

}  // namespace beamgate::http2
