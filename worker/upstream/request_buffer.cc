#include "worker/upstream/request_buffer.h"

#include <cstdio>


namespace beamgate::upstream {

void RequestBuffer::set_body_limit(size_t bytes) { limit_ = bytes_.size() + bytes; }

size_t RequestBuffer::body_room() const {
  const size_t waiting = bytes_.size() - sent_;
  return waiting >= limit_ ? 0 : limit_ - waiting;
}

void RequestBuffer::append_body(std::string_view body, bool chunked) {
  if (body.empty()) return;  // An empty chunk would end the body.
  make_room(body.size());
  if (chunked) {
    char size[24];
    const int length = snprintf(size, sizeof size, "%zx\r\n", body.size());
    bytes_.append(size, static_cast<size_t>(length));
  }
  bytes_.append(body);
  if (chunked) bytes_.append("\r\n");
}

void RequestBuffer::append_end(bool chunked) {
  if (chunked) bytes_.append("0\r\n\r\n");
}

void RequestBuffer::drop_all() {
  bytes_.clear();
  sent_ = 0;
  dropped_ = true;
}

void RequestBuffer::make_room(size_t bytes) {
  if (sent_ == 0 || bytes_.size() + bytes <= limit_) return;
  bytes_.erase(0, sent_);
  sent_ = 0;
  dropped_ = true;
}

}  // namespace beamgate::upstream
