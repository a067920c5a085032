// Request buffer: the bytes of one request on their way to a backend.
//
// Owner      ProxyLeg.
// Limits     Head + body limit.  What was sent is kept as long as everything fits, so that a request whose
//            reused connection turns out dead can be sent again; afterwards it is dropped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace beamgate::upstream {

class RequestBuffer {
 public:
  // The head goes in first, through this; body_limit is for what append_body() adds.
  std::string& head() { return bytes_; }
  void set_body_limit(size_t bytes);  // REQUIRES: the head is complete.

  // How many bytes of body fit now, framing left out.
  size_t body_room() const;
  void append_body(std::string_view body, bool chunked);  // REQUIRES: body.size() <= body_room().
  void append_end(bool chunked);

  std::string_view unsent() const { return std::string_view(bytes_).substr(sent_); }
  void sent(size_t bytes) { sent_ += bytes; }

  bool can_rewind() const { return !dropped_; }
  void rewind() { sent_ = 0; }  // REQUIRES: can_rewind().
  void drop_all();              // Nothing of it will be sent any more.

 private:
  void make_room(size_t bytes);

  std::string bytes_;
  size_t sent_ = 0;
  size_t limit_ = 0;
  bool dropped_ = false;
};

}  // namespace beamgate::upstream
