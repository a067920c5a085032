// Diagnostic: one thing that is wrong, or doubtful, in a configuration, and where.
//
// Limits   A Diagnostics keeps kDiagnosticsMax of each kind; what comes after is counted away, since the
//          first ones matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"

namespace beamgate::config {

// A file that was read, or the text that stood in for one.
struct Source {
  std::string path;
  Secret text;  // Keys stand in it.
};

// A byte of a source; line and column count from 1, column in bytes.
struct Position {
  uint32_t source = 0;  // Index into the sources of this load.
  uint32_t line = 0;
  uint32_t column = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
};

struct Diagnostic {
  std::string file;
  uint32_t line = 0;  // 0: the file as a whole.
  uint32_t column = 0;
  std::string message;

  std::string text() const;  // "file:line:column: message"
};

// Control bytes as \xHH, and so is what isn't UTF-8, and the characters of it that nobody sees: what a terminal may be shown.
std::string visible(std::string_view text);

// "file:line" of a position, for messages that point at a second place.
std::string place(const std::vector<Source>& sources, Position at);

// Collects while a configuration is read; hands out in the order of the text, made visible().
class Diagnostics {
 public:
  static constexpr size_t kDiagnosticsMax = 50;

  void error(Position at, std::string message) { add(errors_, at, std::move(message)); }
  void warn(Position at, std::string message) { add(warnings_, at, std::move(message)); }

  bool has_errors() const { return !errors_.empty(); }
  bool full() const { return errors_.size() >= kDiagnosticsMax; }  // A further error would be forgotten.
  std::vector<Diagnostic> errors(const std::vector<Source>& sources) const {
    return sorted(errors_, sources);
  }
  std::vector<Diagnostic> warnings(const std::vector<Source>& sources) const {
    return sorted(warnings_, sources);
  }

 private:
  struct Entry {
    Position at;
    std::string message;
  };

  static void add(std::vector<Entry>& to, Position at, std::string message);
  static std::vector<Diagnostic> sorted(std::vector<Entry> entries, const std::vector<Source>& sources);

  std::vector<Entry> errors_;
  std::vector<Entry> warnings_;
};

}  // namespace beamgate::config
