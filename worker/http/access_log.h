// Access logs: one line per exchange, gathered in memory and appended at the end of the loop turn.
//
// Owner      One per worker, shared by its HTTP layer.  A file is opened once per path (O_APPEND), so workers
//            may share it.
// Limits     A line is cut at kLineBytesMax; a file's buffer is written at kBufferBytes even within a turn.
// Errors     A file that can't be opened or written costs its lines, is reported once, and is tried again by
//            reopen(): logging never stops serving.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"
#include "common/log/log.h"
#include "worker/http/variables.h"

namespace beamgate::http {

class AccessLogs {
 public:
  static constexpr size_t kLineBytesMax = 8 << 10;
  static constexpr size_t kBufferBytes = 64 << 10;

  explicit AccessLogs(log::Log& log) : log_(log) {}
  ~AccessLogs();

  void write(const config::AccessLog& target, const VariableScope& scope);
  void flush();   // At the end of a loop turn.
  void reopen();  // After a rotation (SIGUSR1).

 private:
  struct File {
    UniqueFd fd;
    std::string buffer;
    bool failed = false;
  };

  File& file_of(const std::string& path);
  void open(const std::string& path, File& file);
  void flush_file(const std::string& path, File& file);

  log::Log& log_;
  std::map<std::string, File> files_;
  std::string value_;
  bool unwritten_ = false;
};

// Appends one line, without its LF.
void format_line(const config::AccessLog& target, const VariableScope& scope, std::string& scratch,
                 std::string& out);

// nginx's escapes: Default \xHH for control bytes, '"' and "\"; Json as within a JSON string; None as it is.
void append_escaped(std::string_view text, config::AccessLog::Escape escape, std::string& out);

}  // namespace beamgate::http
