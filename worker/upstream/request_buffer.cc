#include "worker/upstream/request_buffer.h"

#include <cstdio>

#include "worker/fastcgi/record.h"

namespace beamgate::upstream {
namespace {

void append_framed(std::string_view body, BodyFraming framing, std::string& out) {
  if (framing == BodyFraming::Stdin) return fastcgi::append_stream(fastcgi::RecordType::Stdin, body, out);
  if (framing == BodyFraming::Chunked) {
    char size[24];
    const int length = snprintf(size, sizeof size, "%zx\r\n", body.size());
    out.append(size, static_cast<size_t>(length));
  }
  out.append(body);
  if (framing == BodyFraming::Chunked) out.append("\r\n");
}

}  // namespace

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

Result<void> RequestBuffer::append_body(std::string_view body, BodyFraming framing) {
  if (body.empty()) return {};  // An empty chunk or record would end the body.
  body_bytes_ += body.size();
  if (directory_ != nullptr && (file_ != nullptr || bytes_.size() + body.size() > limit_)) {
    if (file_ == nullptr) {
      auto made = BodyFile::create(*directory_);
      if (!made.ok()) return made.error();
      file_ = std::move(made).value();
    }
    return append_to_file(body, framing);
  }
  make_room(body.size());
  framed_ = framed_ || framing != BodyFraming::Plain;
  append_framed(body, framing, bytes_);
  return {};
}

std::optional<std::string_view> RequestBuffer::body() const {
  if (dropped_ || stream_ || framed_ || file_ != nullptr) return std::nullopt;
  return std::string_view(bytes_).substr(head_bytes_, static_cast<size_t>(body_bytes_));
}

// The file holds what is to be sent, its framing included.
Result<void> RequestBuffer::append_to_file(std::string_view body, BodyFraming framing) {
  if (framing == BodyFraming::Plain) return file_->append(body);
  std::string framed;
  append_framed(body, framing, framed);
  return file_->append(framed);
}

Result<void> RequestBuffer::append_end(BodyFraming framing) {
  if (framing == BodyFraming::Plain) return {};
  std::string end;
  if (framing == BodyFraming::Chunked) end = "0\r\n\r\n";
  if (framing == BodyFraming::Stdin) fastcgi::append_stream_end(fastcgi::RecordType::Stdin, end);
  if (file_ != nullptr) return file_->append(end);
  bytes_ += end;
  return {};
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
