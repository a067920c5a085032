#include "worker/http/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/clock.h"
#include "common/base/utf8.h"

namespace beamgate::http {
namespace {

using Escape = config::AccessLog::Escape;

// In the place of a byte that is no part of UTF-8: JSON has nothing else (RFC 8259 section 8.1).
constexpr std::string_view kNoCharacter = "\\uFFFD";

constexpr char kHexUpper[] = "0123456789ABCDEF";

void append_default(char c, std::string& out) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
    out += c;
    return;
  }
  out += "\\x";
  out += kHexUpper[byte >> 4];
  out += kHexUpper[byte & 0xf];
}

void append_json(char c, std::string& out) {
  const auto byte = static_cast<unsigned char>(c);
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (byte >= 0x20) {
    out += c;
    return;
  }
  out += "\\u00";
  out += kHexUpper[byte >> 4];
  out += kHexUpper[byte & 0xf];
}

}  // namespace

void append_escaped(std::string_view text, Escape escape, std::string& out) {
  if (escape == Escape::None) {
    out += text;
    return;
  }
  if (escape == Escape::Default) {
    for (const char c : text) append_default(c, out);
    return;
  }
  while (!text.empty()) {
    const size_t length = utf8_sequence_length(text);
    if (length == 1) {
      append_json(text[0], out);
    } else {
      out += length == 0 ? kNoCharacter : text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

void format_line(const config::AccessLog& target, const VariableScope& scope, std::string& scratch,
                 std::string& out) {
  for (const config::Template::Part& part : target.format.parts()) {
    if (!part.variable) {
      out += part.text;
      continue;
    }
    scratch.clear();
    append_variable(part.text, scope, scratch);
    if (scratch.empty() && target.escape == Escape::Default) {
      out += '-';
    } else {
      append_escaped(scratch, target.escape, out);
    }
  }
}

AccessLogs::~AccessLogs() {
  flush();
}

void AccessLogs::write(const std::vector<config::AccessLog>& targets, const VariableScope& scope) {
  for (const config::AccessLog& target : targets) {
    if (target.conditional) {
      value_.clear();
      expand(target.condition, scope, value_);
      if (value_.empty() || value_ == "0") continue;
    }
    write(target, scope);
  }
}

void AccessLogs::write(const config::AccessLog& target, const VariableScope& scope) {
  File& file = file_of(target.path);
  if (!file.fd.valid()) return lose(1);
  const size_t line_start = file.buffer.size();
  format_line(target, scope, value_, file.buffer);
  if (file.buffer.size() - line_start > kLineBytesMax - 1) file.buffer.resize(line_start + kLineBytesMax - 1);
  if (file.syslog) {
    if (!log::send_syslog(file.fd.get(), *file.syslog, file.syslog->severity, file.buffer)) lose(1);
    file.buffer.clear();
    return;
  }
  file.buffer += '\n';
  ++file.lines;
  unwritten_ = true;
  if (file.buffer.size() >= kBufferBytes) flush_file(target.path, file);
}

void AccessLogs::flush() {
  if (!unwritten_) return;
  unwritten_ = false;
  for (auto& [path, file] : files_) flush_file(path, file);
}

void AccessLogs::reopen() {
  flush();
  for (auto& [path, file] : files_) {
    file.failed = false;
    open(path, file);
  }
}

AccessLogs::File& AccessLogs::file_of(const std::string& path) {
  File& file = files_[path];
  if (!file.fd.valid() && !file.failed) open(path, file);
  return file;
}

// The old descriptor stays when the new one can't be had.
void AccessLogs::open(const std::string& path, File& file) {
  UniqueFd opened;
  log::SyslogTarget target;
  std::string malformed;
  if (!log::is_syslog(path)) {
    opened.reset(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644));
  } else if (log::parse_syslog(path, target, malformed)) {
    opened = log::open_syslog(target);
    file.syslog = std::move(target);
  }
  if (opened.valid()) {
    file.fd = std::move(opened);
    file.full_until_ms = 0;
    return;
  }
  file.failed = true;
  log_.error("access_log_open_failed", {{"path", path}, {"error", system_error("open failed").message()}});
}

// What fits goes; a line that a full disk has cut gets its end once there is room again.
void AccessLogs::flush_file(const std::string& path, File& file) {
  if (file.buffer.empty()) return;
  if (file.full_until_ms > monotonic_ms()) {
    lose(std::exchange(file.lines, 0));
    return file.buffer.clear();
  }
  if (file.torn) file.buffer.insert(0, 1, '\n');
  std::string_view rest = file.buffer;
  while (!rest.empty()) {
    const ssize_t written = ::write(file.fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      log_.error("access_log_write_failed", {{"path", path}, {"error", system_error("write failed").message()}});
      lose(static_cast<uint64_t>(std::count(rest.begin(), rest.end(), '\n')) - (file.torn && rest.size() == file.buffer.size()));
      file.full_until_ms = monotonic_ms() + kFullMs;
      break;
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  const size_t went = file.buffer.size() - rest.size();
  if (went > 0) file.torn = file.buffer[went - 1] != '\n';
  file.lines = 0;
  file.buffer.clear();
}

}  // namespace beamgate::http
