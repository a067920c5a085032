#include "worker/http/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace beamgate::http {
namespace {

using Escape = config::AccessLog::Escape;

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
  for (const char c : text) {
    if (escape == Escape::Json) {
      append_json(c, out);
    } else {
      append_default(c, out);
    }
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

void AccessLogs::write(const config::AccessLog& target, const VariableScope& scope) {
  if (target.off) return;
  File& file = file_of(target.path);
  if (!file.fd.valid()) return;
  const size_t line_start = file.buffer.size();
  format_line(target, scope, value_, file.buffer);
  if (file.buffer.size() - line_start > kLineBytesMax - 1) file.buffer.resize(line_start + kLineBytesMax - 1);
  file.buffer += '\n';
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
  UniqueFd opened(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644));
  if (opened.valid()) {
    file.fd = std::move(opened);
    return;
  }
  file.failed = true;
  log_.error("access_log_open_failed", {{"path", path}, {"error", system_error("open failed").message()}});
}

void AccessLogs::flush_file(const std::string& path, File& file) {
  std::string_view rest = file.buffer;
  while (!rest.empty()) {
    const ssize_t written = ::write(file.fd.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      log_.error("access_log_write_failed",
                 {{"path", path}, {"error", system_error("write failed").message()}});
      break;
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  file.buffer.clear();
}

}  // namespace beamgate::http
