#include "common/config/log_path.h"

#include <vector>

#include "common/config/loader.h"
#include "common/config/network.h"
#include "common/log/syslog.h"

namespace beamgate::config {
namespace {

constexpr uint16_t kSyslogPort = 514;

}  // namespace

bool read_log_path(Setting& setting, std::string& out) {
  const std::string word = setting.arg(0);
  if (!log::is_syslog(word)) {
    out = setting.path(0);
    return true;
  }
  std::string text = word;
  std::string error;
  const std::string server(log::syslog_server(word));
  if (server.starts_with("unix:")) {
    text = log::with_syslog_server(word, "unix:" + setting.loader.absolute(server.substr(5)));
  } else if (!server.empty()) {
    std::vector<Address> addresses;
    if (!server_addresses(server, kSyslogPort, setting.loader.names, addresses, error)) {
      setting.fail(0, error);
      return false;
    }
    text = log::with_syslog_server(word, addresses.front().text);
  }
  log::SyslogTarget target;
  if (!log::parse_syslog(text, target, error)) {
    setting.fail(0, error);
    return false;
  }
  setting.replace(0, text);
  out = std::move(text);
  return true;
}

}  // namespace beamgate::config
