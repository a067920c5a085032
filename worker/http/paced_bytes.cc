#include "worker/http/paced_bytes.h"

#include <algorithm>

namespace beamgate::http {

std::string_view PacedBytes::allowed(int64_t now_ms, size_t room) const {
  const auto elapsed_ms = static_cast<uint64_t>(now_ms - since_ms_) + 1'000;
  const auto earned = static_cast<unsigned __int128>(rate_bytes_) * elapsed_ms / 1'000;
  const auto budget = earned + after_bytes_;
  const auto allowed = budget > sent_ ? budget - sent_ : 0;
  const size_t wanted = std::min(waiting(), room);
  return std::string_view(bytes_).substr(at_, allowed < wanted ? static_cast<size_t>(allowed) : wanted);
}

void PacedBytes::went(size_t bytes) {
  sent_ += bytes;
  at_ += bytes;
  if (waiting() > 0) return;
  bytes_.clear();
  at_ = 0;
}

int64_t PacedBytes::next_ms(int64_t now_ms) const {
  return now_ms + std::max<int64_t>(kPauseMs, static_cast<int64_t>(1'000 / rate_bytes_));
}

}  // namespace beamgate::http
