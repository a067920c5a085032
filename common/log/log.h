// Log: one line per event, "time [level] pid#role: event key=value ...".
//
// Owner      One Log per process, passed by reference.
// Thread     Loop thread only.
// Sinks      stderr (a journal behind it is told the levels, as sd-daemon(3) says), a file, or a syslog server (syslog.h).
// Limits     A line is cut at 2 KiB.  The same event more than kRepeatsMax times within one second, and from warn on the
//            same line, whichever connection it is about, more than kSameMax times within kSameMs, is held back and
//            counted; one line says later how often
//            it came ("log_repeats event=... times_more=..."), so that no attack and no full disk can fill the log.
// Errors     A line that can't be written is lost and counted (set_on_lost()): logging never stops serving.
// Connections   A line about one connection, and a request on it, has its id as "connection" (worker/record/uid.h).
// Never log payloads, tokens, cookies or Authorization.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/log/syslog.h"

namespace beamgate::log {

// nginx's levels, most severe first.
enum class Level : uint8_t { Emerg, Alert, Crit, Error, Warn, Notice, Info, Debug };

const char* level_name(Level level);
bool parse_level(std::string_view text, Level& out);

// One key=value pair; a value with spaces, quotes or control bytes is quoted and escaped.
struct Field {
  Field(const char* key_, std::string_view value_) : key(key_), value(value_) {}
  Field(const char* key_, const char* value_) : key(key_), value(value_) {}
  Field(const char* key_, const std::string& value_) : key(key_), value(value_) {}
  template <typename T>
    requires std::is_integral_v<T>
  Field(const char* key_, T number) : key(key_), value(std::to_string(number)) {}

  const char* key;
  std::string value;
};

using Fields = std::initializer_list<Field>;

// "event key=value ...", as a line has it, or without the connection that it is about.
std::string text_of(const char* event, Fields fields, bool with_connection = true);

class Log {
 public:
  static constexpr uint32_t kRepeatsMax = 20;
  static constexpr uint32_t kSameMax = 5;
  static constexpr int64_t kSameMs = 10'000;

  // Starts on stderr at level Notice.  role: "master", "worker".
  explicit Log(std::string role);

  // path "stderr", "syslog:..." or a file that is appended to; the old sink stays when the new one can't be opened.
  Result<void> open(const std::string& path, Level level);
  Result<void> reopen();  // After a rotation; keeps path and level, and the descriptor's number.

  // Writes to a sink that the master has opened, or to stderr if it is invalid; reopen() takes the path.
  void inherit(UniqueFd sink, std::string path, Level level);
  // The same for a log that has a sink already: its number stays.
  void replace(UniqueFd sink, std::string path, Level level);
  // Writes to a descriptor that somebody else owns; path is what it was when we last knew.
  void borrow(int descriptor, const std::string& path, Level level);
  int descriptor() const { return sink_.valid() ? sink_.get() : borrowed_; }
  void set_level(Level level) { level_ = level; }
  Level level() const { return level_; }

  // Called for each line that could not be written.
  void set_on_lost(std::function<void()> on_lost) { on_lost_ = std::move(on_lost); }

  // Called for each line that was written, with what stands behind its head.
  void set_on_line(std::function<void(Level, std::string_view text)> on_line) { on_line_ = std::move(on_line); }

  bool enabled(Level level) const { return level <= level_; }

  void write(Level level, const char* event, Fields fields = {});
  void error(const char* event, Fields fields = {}) { write(Level::Error, event, fields); }
  void warn(const char* event, Fields fields = {}) { write(Level::Warn, event, fields); }
  void notice(const char* event, Fields fields = {}) { write(Level::Notice, event, fields); }
  void info(const char* event, Fields fields = {}) { write(Level::Info, event, fields); }
  void debug(const char* event, Fields fields = {}) {
    if (enabled(Level::Debug)) write(Level::Debug, event, fields);
  }

  // Says what was held back, where its time is over; to be called now and then.
  void report_repeats();

 private:
  struct Repeat {
    int64_t second = 0;       // Monotonic; of `count`.
    uint32_t count = 0;
    uint64_t text_hash = 0;   // Of the last line of this event, without its connection.
    int64_t same_since_ms = 0;
    uint32_t same = 0;
    uint32_t held_back = 0;
    int64_t held_since_ms = 0;
    Level level = Level::Notice;
  };

  bool admit(Level level, const char* event, uint64_t hash);
  void report(const char* event, Repeat& repeat);
  void emit(Level level, const std::string& text);
  void follow_path();

  std::string role_;
  std::string path_ = "stderr";
  Level level_ = Level::Notice;
  UniqueFd sink_;  // Invalid means the borrowed one.
  int borrowed_ = 2;
  std::optional<SyslogTarget> syslog_;  // What the sink leads to.
  bool journal_ = false;                // stderr is a journal's stream.
  bool holds_back_ = false;
  std::function<void()> on_lost_;
  std::function<void(Level, std::string_view)> on_line_;
  std::map<const char*, Repeat> repeats_;  // By event name; the names are literals, so the map is bounded.
};

}  // namespace beamgate::log
