#include "common/base/clock.h"

#include <cstdio>
#include <ctime>

namespace beamgate {
namespace {

int64_t read_us(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

constexpr const char* kHttpDateFormat = "%a, %d %b %Y %H:%M:%S GMT";

}  // namespace

int64_t monotonic_us() { return read_us(CLOCK_MONOTONIC); }
int64_t monotonic_ms() { return monotonic_us() / 1'000; }
int64_t wall_ms() { return read_us(CLOCK_REALTIME) / 1'000; }

std::string format_rfc3339(int64_t unix_ms) {
  const time_t seconds = unix_ms / 1'000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char out[40];
  const size_t length = strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(out + length, sizeof out - length, ".%03dZ", static_cast<int>(unix_ms % 1'000));
  return out;
}

std::string format_http_date(int64_t unix_seconds) {
  const time_t seconds = unix_seconds;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char out[40];
  strftime(out, sizeof out, kHttpDateFormat, &parts);
  return out;
}

int64_t parse_http_date(const std::string& text) {
  tm parts{};
  const char* end = strptime(text.c_str(), kHttpDateFormat, &parts);
  if (end == nullptr || *end != '\0') return -1;
  return timegm(&parts);
}

}  // namespace beamgate
