#include "master/system_check.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "common/base/unique_fd.h"
#include "common/config/log_files.h"
#include "master/keeper/clone.h"
#include "master/start_check.h"

namespace beamgate::master {
namespace {

constexpr uint64_t kOwnFiles = 84;  // Of a worker: its bus, arena, logs, epoll sets, and what it keeps free (descriptor_room.h).

uint64_t read_number(const char* path) {
  std::ifstream file(path);
  uint64_t out = 0;
  file >> out;
  return file ? out : 0;
}

bool has_capability(unsigned number) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[number / 32].effective & (1u << (number % 32))) != 0;
}

bool passes_on(const config::Location& location) {
  if (location.action == config::Action::Proxy || location.action == config::Action::Fastcgi) return true;
  return std::any_of(location.locations.begin(), location.locations.end(), passes_on);
}

bool passes_on(const config::Config& config) {
  return std::any_of(config.http.servers.begin(), config.http.servers.end(), [](const config::Server& server) {
    return passes_on(server.fallback) || std::any_of(server.locations.begin(), server.locations.end(),
                                                     [](const config::Location& each) { return passes_on(each); });
  });
}

// What one worker may have open at a time.
uint64_t files_needed(const config::Config& config) {
  uint64_t out = kOwnFiles + config.worker_connections;
  if (passes_on(config)) out += config.worker_connections;
  for (const auto& [name, webhook] : config.http.webhooks) out += std::min(webhook->concurrency, config.worker_connections);
  return out;
}

std::string number(uint64_t value) { return std::to_string(value); }

void check_files(const config::Config& config, const SystemFigures& system, std::vector<std::string>& out) {
  const uint64_t asked = config.worker_rlimit_nofile;
  if (asked > 0 && system.files_most > 0 && asked > system.files_most) {
    out.push_back("worker_rlimit_nofile " + number(asked) + " is more than fs.nr_open allows: " + number(system.files_most));
  } else if (asked > system.files && system.files > 0 && !system.may_raise_files) {
    out.push_back("worker_rlimit_nofile " + number(asked) + " is above the hard limit of open files, " + number(system.files) +
                  ", and takes CAP_SYS_RESOURCE; with systemd, raise LimitNOFILE instead");
  }
  const uint64_t have = asked == 0 || (asked > system.files && !system.may_raise_files) ? system.files : asked;
  const uint64_t needed = files_needed(config);
  if (have > 0 && needed > have) {
    out.push_back("worker_connections " + number(config.worker_connections) + " may take " + number(needed) +
                  " open files in a worker" + (passes_on(config) ? ", with one to an upstream server for each" : "") +
                  ", and RLIMIT_NOFILE is " + number(have) + ": clients will wait when they run out");
  }
  const uint64_t all = needed * std::max<uint32_t>(config.worker_processes, 1);
  if (system.files_of_system > 0 && all > system.files_of_system) {
    out.push_back("all workers may take " + number(all) + " open files, and fs.file-max is " + number(system.files_of_system));
  }
}

void check_backlog(const config::Config& config, const SystemFigures& system, std::vector<std::string>& out) {
  const config::Listen* greatest = nullptr;
  for (const config::Server& server : config.http.servers) {
    for (const config::Listen& listen : server.listens) {
      if (greatest == nullptr || listen.backlog > greatest->backlog) greatest = &listen;
    }
  }
  if (greatest == nullptr || system.backlog == 0 || static_cast<uint64_t>(greatest->backlog) <= system.backlog) return;
  out.push_back("the backlog of listen " + greatest->address.text + ", " + std::to_string(greatest->backlog) +
                ", is cut to net.core.somaxconn, " + number(system.backlog) +
                ": a burst of new clients beyond it has to try again");
}

}  // namespace

SystemFigures read_system_figures(const config::Config& config) {
  SystemFigures out;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) out.files = limit.rlim_max;
  out.may_raise_files = has_capability(CAP_SYS_RESOURCE);
  out.files_most = read_number("/proc/sys/fs/nr_open");
  out.files_of_system = read_number("/proc/sys/fs/file-max");
  out.backlog = read_number("/proc/sys/net/core/somaxconn");
  out.tracked = read_number("/proc/sys/net/netfilter/nf_conntrack_max");
  if (config.worker_keeper) out.no_keeper = why_no_keeper();
  for (const std::string& path : config::access_log_files(config)) {
    if (const std::string why = why_not_writable(path); !why.empty()) out.access_log_problems.push_back(path + ": " + why);
  }
  out.has_pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0))).valid();
  return out;
}

std::vector<std::string> system_warnings(const config::Config& config, const SystemFigures& system) {
  std::vector<std::string> out;
  check_files(config, system, out);
  check_backlog(config, system, out);
  for (const std::string& problem : system.access_log_problems) {
    out.push_back("lines for an access_log that can't be opened will be lost: " + problem);
  }
  const uint64_t clients = uint64_t{config.worker_connections} * std::max<uint32_t>(config.worker_processes, 1);
  if (system.tracked > 0 && clients > system.tracked) {
    out.push_back(number(clients) + " clients are more than a firewall of this machine can track, if it does: "
                  "net.netfilter.nf_conntrack_max is " + number(system.tracked));
  }
  if (config.worker_keeper && !system.no_keeper.empty()) {
    out.push_back("workers will have no keepers, and one that dies loses its connections: " + system.no_keeper);
  }
  if (config.master_keeper && !system.has_pidfd) {
    out.push_back("the kernel has no pidfd_open (Linux 5.3): workers whose master is killed end gracefully");
  }
  return out;
}

}  // namespace beamgate::master
