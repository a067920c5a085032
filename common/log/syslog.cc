#include "common/log/syslog.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <optional>

#include "common/base/bytes.h"

namespace beamgate::log {
namespace {

constexpr std::string_view kPrefix = "syslog:";
constexpr std::string_view kServer = "server=";
constexpr size_t kTagBytesMax = 32;

constexpr std::string_view kFacilities[] = {"kern", "user",   "mail",   "daemon", "auth",   "intern", "lpr",    "news",
                                            "uucp", "clock",  "authpriv", "ftp",  "ntp",    "audit",  "alert",  "cron",
                                            "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};
constexpr std::string_view kSeverities[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};

template <size_t N>
std::optional<uint8_t> number_of(const std::string_view (&names)[N], std::string_view name) {
  const auto* found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) return std::nullopt;
  return static_cast<uint8_t>(found - std::begin(names));
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kTagBytesMax && std::all_of(tag.begin(), tag.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool unix_path(std::string_view path, SyslogTarget& out) {
  auto& address = reinterpret_cast<sockaddr_un&>(out.address);
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return true;
}

bool numeric(std::string_view text, SyslogTarget& out) {
  const size_t colon = text.rfind(':');
  uint64_t port = 0;
  if (colon == text.npos || !parse_decimal(text.substr(colon + 1), port) || port == 0 || port > 65535) return false;
  std::string host(text.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto& in4 = reinterpret_cast<sockaddr_in&>(out.address);
  auto& in6 = reinterpret_cast<sockaddr_in6&>(out.address);
  if (inet_pton(AF_INET, host.c_str(), &in4.sin_addr) == 1) {
    in4.sin_family = AF_INET;
    in4.sin_port = htons(static_cast<uint16_t>(port));
    out.length = sizeof in4;
  } else if (inet_pton(AF_INET6, host.c_str(), &in6.sin6_addr) == 1) {
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(static_cast<uint16_t>(port));
    out.length = sizeof in6;
  }
  return out.length != 0;
}

bool parse_parameter(std::string_view word, SyslogTarget& out, std::string& error) {
  const size_t equals = std::min(word.find('='), word.size());
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(std::min(equals + 1, word.size()));
  if (word == "nohostname") {
    out.hostname = false;
  } else if (name == "server") {
    out.server = value;
    out.address = {};
    out.length = 0;
    const bool good = value.starts_with("unix:") ? unix_path(value.substr(5), out) : numeric(value, out);
    if (!good) error = "expected an address and port, or unix:PATH, after \"server=\"";
    return good;
  } else if (name == "facility") {
    const auto number = number_of(kFacilities, value);
    if (!number) error = "expected a facility of syslog (user, daemon, local0 to local7, ...) after \"facility=\"";
    out.facility = number.value_or(0);
    return number.has_value();
  } else if (name == "severity") {
    const auto number = number_of(kSeverities, value);
    if (!number) error = "expected debug, info, notice, warn, error, crit, alert or emerg after \"severity=\"";
    out.severity = number.value_or(0);
    return number.has_value();
  } else if (name == "tag") {
    if (!is_tag(value)) error = "expected up to 32 letters, digits and \"_\" after \"tag=\"";
    out.tag = value;
    return error.empty();
  } else {
    error = "expected server=, facility=, severity=, tag= or nohostname";
    return false;
  }
  return true;
}

std::string header(const SyslogTarget& target, uint8_t severity) {
  const time_t now = time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  char when[32];
  strftime(when, sizeof when, "%b %e %H:%M:%S ", &parts);
  std::string out = '<' + std::to_string(target.facility * 8 + severity) + '>' + when;
  if (target.hostname) {
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    (out += host) += ' ';
  }
  return out + target.tag + ": ";
}

bool connect_to(int socket, const SyslogTarget& target) {
  return target.length != 0 && connect(socket, reinterpret_cast<const sockaddr*>(&target.address), target.length) == 0;
}

}  // namespace

bool parse_syslog(std::string_view text, SyslogTarget& out, std::string& error) {
  out = {};
  std::string_view rest = text.substr(kPrefix.size());
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    if (!parse_parameter(rest.substr(0, end), out, error)) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (out.server.empty()) error = "expected \"server=\" after \"syslog:\"";
  return !out.server.empty();
}

std::string_view syslog_server(std::string_view text) {
  const size_t at = text.find(kServer);
  if (at == text.npos) return {};
  text.remove_prefix(at + kServer.size());
  return text.substr(0, text.find(','));
}

std::string with_syslog_server(std::string_view text, std::string_view server) {
  const std::string_view before = syslog_server(text);
  if (before.data() == nullptr) return std::string(text);
  std::string out(text);
  return out.replace(static_cast<size_t>(before.data() - text.data()), before.size(), server);
}

UniqueFd open_syslog(const SyslogTarget& target) {
  UniqueFd out(socket(target.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (out.valid()) connect_to(out.get(), target);
  return out;
}

bool send_syslog(int socket, const SyslogTarget& target, uint8_t severity, std::string_view text) {
  const std::string message = header(target, severity).append(text);
  const auto went = [&] { return send(socket, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0; };
  if (went()) return true;
  // Its buffer is full: it reads too slowly, and nobody waits for it.  Else it was away, and may be back.
  if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE) return false;
  return connect_to(socket, target) && went();
}

}  // namespace beamgate::log
