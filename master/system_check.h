// System check: what of this machine will stand in the way of a configuration, in words for whoever reads them.
//
// `beamgate -t` prints it, and the master logs it when it starts and when it has reloaded.  beamgate-tuning(7) says how
// each limit is raised.
// Errors   A figure that can't be read is 0, and nothing is said about it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/config/model.h"

namespace beamgate::master {

struct SystemFigures {
  uint64_t files = 0;            // Hard limit of open files of a process.
  bool may_raise_files = false;  // CAP_SYS_RESOURCE
  uint64_t files_most = 0;       // fs.nr_open
  uint64_t files_of_system = 0;  // fs.file-max
  uint64_t backlog = 0;          // net.core.somaxconn
  uint64_t tracked = 0;          // net.netfilter.nf_conntrack_max; 0: connections are not tracked.
  std::string no_keeper;         // why_no_keeper()
  bool has_pidfd = true;         // Linux 5.3.
  std::vector<std::string> access_log_problems;  // Each with its path.
};

// Keepers are tried with a child that ends at once, where the configuration wants them.
SystemFigures read_system_figures(const config::Config& config);

std::vector<std::string> system_warnings(const config::Config& config, const SystemFigures& system);

}  // namespace beamgate::master
