// Restarts: what follows the death of a worker that has a keeper: when a successor starts, and with what.
//
// Killed from outside: at once, however often.  A crash: at once up to kCrashesFree in kFreeMs, then after
// kDelayFirstMs, doubling up to kDelayMaxMs until it gets quiet.  More than kCrashesMax in kCrashesMs: what it
// inherits is to blame, and it starts with nothing.
// Dying kUnservedMax times in a row before it serves also means to start with nothing; when that does not help,
// or no worker here has ever served, the keeper gives up and the master decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace beamgate::master {

class Restarts {
 public:
  static constexpr size_t kCrashesFree = 5;
  static constexpr int64_t kFreeMs = 10'000;
  static constexpr int64_t kDelayFirstMs = 100;
  static constexpr int64_t kDelayMaxMs = 2'000;
  static constexpr size_t kCrashesMax = 30;
  static constexpr int64_t kCrashesMs = 60'000;
  static constexpr uint32_t kUnservedMax = 3;

  enum class Verdict : uint8_t { Adopt, Fresh, GiveUp };
  struct Next {
    Verdict verdict = Verdict::Adopt;
    int64_t delay_ms = 0;
  };

  // crashed: of its own code.  served: it had come so far.
  Next after_death(int64_t now_ms, bool crashed, bool served);

 private:
  Verdict judge_unserved();
  int64_t delay_after_crash(int64_t now_ms);

  std::deque<int64_t> crashes_;  // When, within the last kCrashesMs.
  int64_t delay_ms_ = 0;
  uint32_t unserved_ = 0;  // Deaths in a row before serving.
  bool served_once_ = false;
};

}  // namespace beamgate::master
