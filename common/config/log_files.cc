#include "common/config/log_files.h"

#include "common/log/syslog.h"

namespace beamgate::config {
namespace {

void gather(const Location& location, std::set<std::string>& out) {
  for (const AccessLog& access_log : location.access_logs) {
    if (!log::is_syslog(access_log.path)) out.insert(access_log.path);
  }
  for (const Location& inner : location.locations) gather(inner, out);
}

}  // namespace

std::set<std::string> access_log_files(const Config& config) {
  std::set<std::string> out;
  for (const Server& server : config.http.servers) {
    gather(server.fallback, out);
    for (const Location& location : server.locations) gather(location, out);
  }
  return out;
}

}  // namespace beamgate::config
