// Access logs: one line per exchange, gathered in memory and appended at the end of the loop turn, or one datagram
// to a syslog server.
//
// Owner      One per worker, shared by its HTTP layer.  A file is opened once per path (O_APPEND), so workers
//            may share it.
// Limits     A line is cut at kLineBytesMax; a file's buffer is written at kBufferBytes even within a turn.
// Errors     A file that can't be opened costs its lines, is reported once, and is tried again by reopen().  One that
//            can't be written (a full disk) costs its lines, and for kFullMs also those that come; a syslog server that
//            takes nothing costs what it would have been sent.  All are counted: logging never stops serving.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/log/log.h"
#include "common/log/syslog.h"
#include "common/metrics/metrics.h"
#include "worker/http/variables.h"

namespace beamgate::http {

class AccessLogs {
 public:
  static constexpr size_t kLineBytesMax = 8 << 10;
  static constexpr size_t kBufferBytes = 64 << 10;

  static constexpr int64_t kFullMs = 1'000;

  AccessLogs(log::Log& log, metrics::Page& metrics) : log_(log), metrics_(metrics) {}
  ~AccessLogs();

  void write(const std::vector<config::AccessLog>& targets, const VariableScope& scope);
  void flush();   // At the end of a loop turn.
  void reopen();  // After a rotation (SIGUSR1).

 private:
  struct File {
    UniqueFd fd;
    std::string buffer;
    uint64_t lines = 0;        // In the buffer.
    bool failed = false;       // It could not be opened.
    bool torn = false;         // Its last line has no end.
    int64_t full_until_ms = 0;
    std::optional<log::SyslogTarget> syslog;
  };

  void write(const config::AccessLog& target, const VariableScope& scope);

  File& file_of(const std::string& path);
  void open(const std::string& path, File& file);
  void lose(uint64_t lines) { metrics_.add(metrics::Metric::AccessLogLinesLost, lines); }
  void flush_file(const std::string& path, File& file);

  log::Log& log_;
  metrics::Page& metrics_;
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
