#include "common/log/log.h"

#include <fcntl.h>

#include <ctime>

#include "common/base/clock.h"

namespace beamgate::log {
namespace {

constexpr size_t kLineBytesMax = 2048;
constexpr const char* kLevelNames[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == '"' || byte == '\\' || byte == 0x7f) return true;
  }
  return false;
}

void append_value(std::string& out, std::string_view value) {
  if (!needs_quotes(value)) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < ' ' || byte == 0x7f) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string timestamp(int64_t unix_ms) {
  const time_t seconds = unix_ms / 1'000;
  tm parts{};
  localtime_r(&seconds, &parts);
  char out[40];
  const size_t length = strftime(out, sizeof out, "%Y/%m/%d %H:%M:%S", &parts);
  snprintf(out + length, sizeof out - length, ".%03d", static_cast<int>(unix_ms % 1'000));
  return out;
}

}  // namespace

const char* level_name(Level level) { return kLevelNames[static_cast<size_t>(level)]; }

bool parse_level(std::string_view text, Level& out) {
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (text == kLevelNames[i]) {
      out = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

Log::Log(std::string role) : role_(std::move(role)) {}

Result<void> Log::open(const std::string& path, Level level) {
  UniqueFd sink;
  if (path != "stderr") {
    sink.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
    if (!sink.valid()) return system_error("can't open the log");
  }
  path_ = path;
  level_ = level;
  // A worker's keeper knows the log by its number, so that has to stay.
  if (sink_.valid() && sink.valid() && dup3(sink.get(), sink_.get(), O_CLOEXEC) >= 0) return {};
  sink_ = std::move(sink);
  return {};
}

Result<void> Log::reopen() { return open(path_, level_); }

void Log::inherit(UniqueFd sink, std::string path, Level level) {
  path_ = std::move(path);
  level_ = level;
  sink_ = std::move(sink);
}

// Counts each event by the second and lets the first kRepeatsMax of a second through; what was held back is
// reported when the next second begins.
bool Log::admit(Level level, const char* event) {
  Repeat& repeat = repeats_[event];
  const int64_t second = monotonic_ms() / 1'000;
  if (repeat.second != second) {
    const uint32_t held_back = repeat.count > kRepeatsMax ? repeat.count - kRepeatsMax : 0;
    repeat = Repeat{second, 1};
    if (held_back > 0) emit(level, "log_repeats", {{"event", event}, {"held_back", held_back}});
    return true;
  }
  return ++repeat.count <= kRepeatsMax;
}

void Log::write(Level level, const char* event, Fields fields) {
  if (!enabled(level) || !admit(level, event)) return;
  emit(level, event, fields);
}

void Log::emit(Level level, const char* event, Fields fields) {
  std::string line = timestamp(wall_ms());
  line += " [";
  line += level_name(level);
  line += "] ";
  line += std::to_string(getpid());
  line += '#';
  line += role_;
  line += ": ";
  line += event;
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  if (line.size() > kLineBytesMax) {
    line.resize(kLineBytesMax - 3);
    line += "...";
  }
  line += '\n';
  const ssize_t written = ::write(descriptor(), line.data(), line.size());
  static_cast<void>(written);  // A full disk never stops serving.
}

}  // namespace beamgate::log
