#include "master/start_check.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "common/log/syslog.h"

namespace beamgate::master {
namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash + 1);
}

std::string why_no_access(const std::string& path, int mode) {
  return access(path.c_str(), mode) == 0 ? std::string() : strerror(errno);
}

// Why no file could be put there in the place of what there is, if anything.
std::string why_not_replaceable(const std::string& path, bool socket) {
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return strerror(EISDIR);
    if (socket && !S_ISSOCK(status.st_mode)) return "a file that is no socket is in the way";
  } else if (errno != ENOENT) {
    return strerror(errno);
  }
  return why_no_access(directory_of(path), W_OK | X_OK);
}

std::string why_no_directory(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return strerror(errno);
  return S_ISDIR(status.st_mode) ? why_no_access(path, X_OK) : strerror(ENOTDIR);
}

void check_sockets(const config::Config& config, std::vector<StartProblem>& out) {
  std::set<std::string> seen;
  config::for_each_listen(config, [&](const config::Listen& listen) {
    if (listen.address.storage.ss_family != AF_UNIX || !seen.insert(listen.address.text).second) return;
    const std::string path = reinterpret_cast<const sockaddr_un&>(listen.address.storage).sun_path;
    const std::string why = why_not_replaceable(path, true);
    if (why.empty()) return;
    const bool is_control = listen.owner_only;
    out.push_back({is_control ? "control" : "listen " + listen.address.text,
                   std::string(is_control ? "the control socket" : "the socket") + " \"" + path + "\" can't be made: " + why});
  });
}

}  // namespace

std::string why_not_writable(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode) ? strerror(EISDIR) : why_no_access(path, W_OK);
  return errno == ENOENT ? why_no_access(directory_of(path), W_OK | X_OK) : strerror(errno);
}

std::vector<StartProblem> start_problems(const config::Config& config) {
  std::vector<StartProblem> out;
  const auto report = [&out](const char* directive, const std::string& what, const std::string& why) {
    if (!why.empty()) out.push_back({directive, what + ": " + why});
  };
  const std::string& error_log = config.error_log_path;
  if (error_log != "stderr" && !log::is_syslog(error_log)) {
    report("error_log", "the error log \"" + error_log + "\" can't be opened", why_not_writable(error_log));
  }
  if (!config.pid_path.empty()) {
    report("pid", "the pid file \"" + config.pid_path + "\" can't be written", why_not_replaceable(config.pid_path, false));
  }
  if (!config.working_directory.empty()) {
    report("working_directory", "workers can't change to the directory \"" + config.working_directory + '"',
           why_no_directory(config.working_directory));
  }
  check_sockets(config, out);
  return out;
}

}  // namespace beamgate::master
