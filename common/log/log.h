// Log: one line per event, "time [level] pid#role: event key=value ...".
//
// Owner      One Log per process, passed by reference.
// Thread     Loop thread only.
// Limits     A line is cut at 2 KiB.  The same event more than kRepeatsMax times within one second is counted
//            and reported once, so that an attack can't fill the disk.
// Errors     A sink that can't be written is ignored: logging never stops serving.
// Never log payloads, tokens, cookies or Authorization.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

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

class Log {
 public:
  static constexpr uint32_t kRepeatsMax = 20;

  // Starts on stderr at level Notice.  role: "master", "worker".
  explicit Log(std::string role);

  // path "stderr" or a file that is appended to; the old sink stays when the new one can't be opened.
  Result<void> open(const std::string& path, Level level);
  Result<void> reopen();  // After a rotation; keeps path and level, and the descriptor's number.

  // Writes to a sink that the master has opened, or to stderr if it is invalid; reopen() takes the path.
  void inherit(UniqueFd sink, std::string path, Level level);
  // Writes to a descriptor that somebody else owns.
  void borrow(int descriptor, Level level) {
    borrowed_ = descriptor;
    level_ = level;
  }
  int descriptor() const { return sink_.valid() ? sink_.get() : borrowed_; }

  void set_role(std::string role) { role_ = std::move(role); }
  bool enabled(Level level) const { return level <= level_; }

  void write(Level level, const char* event, Fields fields = {});
  void error(const char* event, Fields fields = {}) { write(Level::Error, event, fields); }
  void warn(const char* event, Fields fields = {}) { write(Level::Warn, event, fields); }
  void notice(const char* event, Fields fields = {}) { write(Level::Notice, event, fields); }
  void info(const char* event, Fields fields = {}) { write(Level::Info, event, fields); }
  void debug(const char* event, Fields fields = {}) {
    if (enabled(Level::Debug)) write(Level::Debug, event, fields);
  }

 private:
  struct Repeat {
    int64_t second = 0;
    uint32_t count = 0;
  };

  bool admit(Level level, const char* event);
  void emit(Level level, const char* event, Fields fields);

  std::string role_;
  std::string path_ = "stderr";
  Level level_ = Level::Notice;
  UniqueFd sink_;  // Invalid means the borrowed one.
  int borrowed_ = 2;
  std::map<const char*, Repeat> repeats_;  // By event name; the names are literals, so the map is bounded.
};

}  // namespace beamgate::log
