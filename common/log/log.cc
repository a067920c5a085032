#include "common/log/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <ctime>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/printable.h"

namespace beamgate::log {
namespace {

constexpr size_t kLineBytesMax = 2048;
constexpr std::string_view kConnection = "connection";
constexpr const char* kLevelNames[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};

// Whatever clients have chosen of it: a line stays one, and a terminal only shows it.
void append_value(std::string& out, std::string_view value) {
  if (!value.empty() && value.find_first_of(" \"\\") == value.npos && is_printable(value)) {
    out += value;
    return;
  }
  std::string quoted;
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  out += '"';
  out += printable(quoted);
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

// systemd says in the environment which stream its journal reads.
bool stderr_is_journal() {
  const char* stream = getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || fstat(2, &status) != 0) return false;
  return stream == std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
}

bool is_datagram_socket(int descriptor) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

}  // namespace

std::string text_of(const char* event, Fields fields, bool with_connection) {
  std::string text = event;
  for (const Field& field : fields) {
    if (!with_connection && field.key == kConnection) continue;
    text += ' ';
    text += field.key;
    text += '=';
    append_value(text, field.value);
  }
  return text;
}

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

Log::Log(std::string role) : role_(std::move(role)), journal_(stderr_is_journal()) {}

Result<void> Log::open(const std::string& path, Level level) {
  UniqueFd sink;
  if (is_syslog(path)) {
    SyslogTarget target;
    std::string error;
    if (!parse_syslog(path, target, error)) return Error{Code::Invalid, 0, "not a syslog server's address"};
    sink = open_syslog(target);
  } else if (path != "stderr") {
    sink.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  }
  if (path != "stderr" && !sink.valid()) return system_error("can't open the log");
  if (sink_.valid() && sink.valid()) {
    replace(std::move(sink), path, level);
  } else {
    inherit(std::move(sink), path, level);
  }
  return {};
}

Result<void> Log::reopen() { return open(path_, level_); }

void Log::inherit(UniqueFd sink, std::string path, Level level) {
  path_ = std::move(path);
  level_ = level;
  sink_ = std::move(sink);
  follow_path();
}

// A worker's keeper knows the log by its number.
void Log::replace(UniqueFd sink, std::string path, Level level) {
  if (!sink_.valid() || dup3(sink.get(), sink_.get(), O_CLOEXEC) < 0) sink_ = std::move(sink);
  path_ = std::move(path);
  level_ = level;
  follow_path();
}

void Log::borrow(int descriptor, const std::string& path, Level level) {
  borrowed_ = descriptor;
  path_ = path;
  level_ = level;
  follow_path();
}

// What the sink is counts, since a reload may have changed it without the path that a keeper knows.
void Log::follow_path() {
  syslog_.reset();
  if (!is_datagram_socket(descriptor())) return;
  syslog_.emplace();
  std::string error;
  if (is_syslog(path_) && !parse_syslog(path_, *syslog_, error)) syslog_.emplace();
}

bool Log::admit(Level level, const char* event, uint64_t hash) {
  Repeat& repeat = repeats_[event];
  const int64_t now = monotonic_ms();
  if (hash != repeat.text_hash || now - repeat.same_since_ms >= kSameMs) {
    repeat.text_hash = hash;
    repeat.same_since_ms = now;
    repeat.same = 0;
  }
  if (now / 1'000 != repeat.second) {
    repeat.second = now / 1'000;
    repeat.count = 0;
  }
  const bool same_again = ++repeat.same > kSameMax && level <= Level::Warn;
  if (!same_again && ++repeat.count <= kRepeatsMax) {
    if (repeat.held_back > 0 && now - repeat.held_since_ms >= 1'000) report(event, repeat);
    return true;
  }
  if (repeat.held_back++ == 0) repeat.held_since_ms = now;
  repeat.level = level;
  holds_back_ = true;
  return false;
}

void Log::report(const char* event, Repeat& repeat) {
  const uint32_t held_back = std::exchange(repeat.held_back, 0);
  emit(repeat.level, text_of("log_repeats", {{"event", event}, {"times_more", held_back}}));
}

// A second after the last admitted line, or kSameMs after the first that was held back.
void Log::report_repeats() {
  if (!holds_back_) return;
  holds_back_ = false;
  const int64_t now = monotonic_ms();
  for (auto& [event, repeat] : repeats_) {
    if (repeat.held_back == 0) continue;
    const bool over = now - repeat.held_since_ms >= kSameMs || (now / 1'000 > repeat.second + 1);
    if (over) {
      report(event, repeat);
    } else {
      holds_back_ = true;
    }
  }
}

void Log::write(Level level, const char* event, Fields fields) {
  if (!enabled(level)) return;
  if (admit(level, event, stable_hash(text_of(event, fields, false)))) emit(level, text_of(event, fields));
}

void Log::emit(Level level, const std::string& text) {
  std::string line = timestamp(wall_ms());
  line += " [";
  line += level_name(level);
  line += "] ";
  line += std::to_string(getpid());
  line += '#';
  line += role_;
  line += ": ";
  line += text;
  if (line.size() > kLineBytesMax) {
    line.resize(kLineBytesMax - 3);
    line += "...";
  }
  bool went = false;
  if (syslog_) {
    went = send_syslog(descriptor(), *syslog_, static_cast<uint8_t>(level), line);
  } else {
    if (journal_ && descriptor() == 2) line.insert(0, '<' + std::to_string(static_cast<int>(level)) + '>');
    line += '\n';
    went = ::write(descriptor(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }
  if (!went && on_lost_) on_lost_();
  if (on_line_) on_line_(level, text);
}

}  // namespace beamgate::log
