// Paced bytes: the part of a response body that is above its limit_rate, and what of it may go now.
//
// Owner      ServedExchange.
// Limits     None of its own: it holds what its owner's back-pressure lets in.
// Source     nginx's budget: limit_rate_after, a second's worth at once, and then so much for each second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::http {

class PacedBytes {
 public:
  static constexpr int64_t kPauseMs = 50;

  PacedBytes() = default;
  // rate 0: no limit; nothing is ever to be added.
  PacedBytes(uint64_t rate_bytes, uint64_t after_bytes, int64_t now_ms)
      : rate_bytes_(rate_bytes), after_bytes_(after_bytes), since_ms_(now_ms) {}

  bool limited() const { return rate_bytes_ > 0; }
  size_t waiting() const { return bytes_.size() - at_; }
  void add(std::string_view bytes) { bytes_ += bytes; }
  // What may go now, `room` bytes at most; tell with went() that it is gone.
  std::string_view allowed(int64_t now_ms, size_t room) const;
  void went(size_t bytes);
  int64_t next_ms(int64_t now_ms) const;  // When it is worth asking again.

 private:
  uint64_t rate_bytes_ = 0;
  uint64_t after_bytes_ = 0;
  uint64_t sent_ = 0;
  int64_t since_ms_ = 0;
  std::string bytes_;
  size_t at_ = 0;  // So much of it has gone.
};

}  // namespace beamgate::http
