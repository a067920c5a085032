// Request buffer: the bytes of one request on their way to a backend.
//
// Owner      ProxyLeg.
// Limits     Head + body limit.  What was sent is kept as long as everything fits, so that a request whose
//            reused connection turns out dead can be sent again; afterwards it is dropped.  After hold() nothing
//            is dropped: what doesn't fit goes to a BodyFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/upstream/body_file.h"

namespace beamgate::upstream {

// What stands around the bytes of a body: nothing, HTTP's chunks, or FastCGI's records of FCGI_STDIN.
enum class BodyFraming : uint8_t { Plain, Chunked, Stdin };

class RequestBuffer {
 public:
  // The head goes in first, through this; body_limit is for what append_body() adds.
  std::string& head() { return bytes_; }
  void set_body_limit(size_t bytes);  // REQUIRES: the head is complete.
  // Keeps the whole body.  directory: where what doesn't fit into memory goes; it must outlive the buffer.
  void hold(const std::string& directory) { directory_ = &directory; }
  // The body is here, and its length, with which the head is to be written once more.
  void replace_head(std::string_view head);  // REQUIRES: nothing was sent.
  uint64_t body_bytes() const { return body_bytes_; }
  // The body as it was appended, if all of it is still in memory and without framing.
  std::optional<std::string_view> body() const;

  // How many bytes of body fit now, framing left out.
  size_t body_room() const;
  // REQUIRES: body.size() <= body_room().  System: the file can't be written.
  Result<void> append_body(std::string_view body, BodyFraming framing);
  Result<void> append_end(BodyFraming framing);  // System, likewise.

  // What is to be sent next; empty when all that is here has been.
  std::string_view unsent() const {
    return sent_ < bytes_.size() || file_ == nullptr ? std::string_view(bytes_).substr(sent_) : file_->piece();
  }
  Result<void> sent(size_t bytes);  // System: the file can't be read.

  bool can_rewind() const { return !dropped_; }
  void rewind() { sent_ = 0; }  // REQUIRES: can_rewind().
  void drop_all();              // Nothing of it will be sent any more.
  // What is appended from now on is no request: it is sent as it is, and never again.
  void begin_stream(size_t limit);

 private:
  void make_room(size_t bytes);
  Result<void> append_to_file(std::string_view body, BodyFraming framing);

  std::string bytes_;
  size_t head_bytes_ = 0;
  size_t sent_ = 0;
  size_t limit_ = 0;
  uint64_t body_bytes_ = 0;
  const std::string* directory_ = nullptr;
  std::unique_ptr<BodyFile> file_;
  bool dropped_ = false;
  bool stream_ = false;
  bool framed_ = false;  // With chunks' sizes in between.
};

}  // namespace beamgate::upstream
