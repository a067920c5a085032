#include "worker/upstream/request_buffer.h"

#include <cstdio>

namespace beamgate::upstream {

void RequestBuffer::set_body_limit(size_t bytes) {
  head_bytes_ = bytes_.size();
  limit_ = bytes_.size() + bytes;
}

void RequestBuffer::replace_head(std::string_view head) {
  bytes_.replace(0, head_bytes_, head);
  limit_ += head.size() - head_bytes_;
  head_bytes_ = head.size();
}

size_t RequestBuffer::body_room() const {
  if (directory_ != nullptr) return BodyFile::kPieceBytes;
  const size_t waiting = bytes_.size() - sent_;
  return waiting >= limit_ ? 0 : limit_ - waiting;
}

Result<void> RequestBuffer::append_body(std::string_view body, bool chunked) {
  if (body.empty()) return {};  // An empty chunk would end the body.
  body_bytes_ += body.size();
  if (directory_ != nullptr && (file_ != nullptr || bytes_.size() + body.size() > limit_)) {
    if (file_ == nullptr) {
      auto made = BodyFile::create(*directory_);
      if (!made.ok()) return made.error();
      file_ = std::move(made).value();
    }
    return file_->append(body);
  }
  make_room(body.size());
  framed_ = framed_ || chunked;
  if (chunked) {
    char size[24];
    const int length = snprintf(size, sizeof size, "%zx\r\n", body.size());
    bytes_.append(size, static_cast<size_t>(length));
  }
  bytes_.append(body);
  if (chunked) bytes_.append("\r\n");
  return {};
}

std::optional<std::string_view> RequestBuffer::body() const {
  if (dropped_ || stream_ || framed_ || file_ != nullptr) return std::nullopt;
  return std::string_view(bytes_).substr(head_bytes_, static_cast<size_t>(body_bytes_));
}

void RequestBuffer::append_end(bool chunked) {
  if (chunked) bytes_.append("0\r\n\r\n");
}

Result<void> RequestBuffer::sent(size_t bytes) {
  if (sent_ < bytes_.size() || file_ == nullptr) {
    sent_ += bytes;
    if (stream_ && sent_ == bytes_.size()) {
      bytes_ = std::string();  // Most of the time a stream has nothing to wait for, and holds no memory.
      sent_ = 0;
    }
    if (sent_ < bytes_.size() || file_ == nullptr) return {};
    return file_->rewind();
  }
  return file_->took(bytes);
}

void RequestBuffer::drop_all() {
  bytes_.clear();
  file_.reset();
  sent_ = 0;
  dropped_ = true;
}

void RequestBuffer::begin_stream(size_t limit) {
  drop_all();
  directory_ = nullptr;
  limit_ = limit;
  stream_ = true;
}

void RequestBuffer::make_room(size_t bytes) {
  if (sent_ == 0 || directory_ != nullptr || bytes_.size() + bytes <= limit_) return;
  bytes_.erase(0, sent_);
  sent_ = 0;
  dropped_ = true;
}

}  // namespace beamgate::upstream
