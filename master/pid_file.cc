#include "master/pid_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>

#include "common/base/bytes.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {
namespace {

Result<std::string> read_small_file(const std::string& path) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Error{errno == ENOENT ? Code::NotFound : Code::System, errno, "can't open the file"};
  char bytes[64];
  const ssize_t count = ::read(file.get(), bytes, sizeof bytes);
  if (count < 0) return system_error("can't read the file");
  return std::string(bytes, static_cast<size_t>(count));
}

std::string strip_newline(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// The name of a process that runs (proc(5), /proc/PID/stat); empty when there is none, or one that has ended and waits for
// its parent to notice, as it does for ever where nobody is init.
std::string name_of_living(pid_t pid) {
  const auto stat = read_small_file("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return {};
  const std::string& text = stat.value();
  const size_t begin = text.find('(');
  const size_t end = text.rfind(')');  // The name may have some of its own.
  if (begin == text.npos || end == text.npos || end < begin || end + 2 >= text.size()) return {};
  const char state = text[end + 2];
  return state == 'Z' || state == 'X' ? std::string() : text.substr(begin + 1, end - begin - 1);
}

}  // namespace

Result<pid_t> PidFile::read(const std::string& path) {
  auto text = read_small_file(path);
  if (!text.ok()) return text.error();
  uint64_t pid = 0;
  if (!parse_decimal(strip_newline(text.value()), pid) || pid == 0 || pid > INT_MAX) {
    return Error{Code::Invalid, 0, "the pid file holds no process id"};
  }
  return static_cast<pid_t>(pid);
}

Result<pid_t> PidFile::read_living(const std::string& path, const std::string& program) {
  auto pid = read(path);
  if (!pid.ok()) return pid;
  if (name_of_living(pid.value()) != program) {
    return Error{Code::NotFound, 0, "the process in the pid file does not live"};
  }
  return pid;
}

Result<std::unique_ptr<PidFile>> PidFile::create(const std::string& path, const std::string& program) {
  const auto holder = read_living(path, program);
  if (holder.ok() && holder.value() != getpid()) {
    return Error{Code::Denied, 0, "a living process holds the pid file"};
  }
  const std::string temporary = path + '.' + std::to_string(getpid());
  UniqueFd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.valid()) return system_error("can't create the pid file");
  const std::string text = std::to_string(getpid()) + '\n';
  const ssize_t written = write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || rename(temporary.c_str(), path.c_str()) != 0) {
    const Error error = system_error("can't write the pid file");
    unlink(temporary.c_str());
    return error;
  }
  return std::unique_ptr<PidFile>(new PidFile(path));
}

PidFile::~PidFile() {
  if (path_.empty()) return;
  const auto holder = read(path_);
  if (holder.ok() && holder.value() == getpid()) unlink(path_.c_str());
}

}  // namespace beamgate::master
