// Syslog: what "syslog:server=..." names, and the datagrams that go there.
//
// Owner      Whoever logs holds the socket; processes may share one, since each datagram is a whole message.
// Grammar    nginx's: syslog:server=ADDRESS[,facility=NAME][,severity=NAME][,tag=WORD][,nohostname].  Here the address
//            is numeric with its port, or unix:PATH; names are resolved while the configuration is read.
// Format     RFC 3164, as nginx writes it: "<PRI>Mmm dd hh:mm:ss HOST TAG: text".
// Errors     send_syslog() never waits: what the server or its buffer doesn't take is lost, and the caller counts it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"

namespace beamgate::log {

struct SyslogTarget {
  sockaddr_storage address{};
  socklen_t length = 0;       // 0: nobody knows where its socket leads; it is not connected again.
  std::string server;         // As written.
  uint8_t facility = 23;      // local7
  uint8_t severity = 6;       // info; of an error log each event's level counts.
  std::string tag = "beamgate";
  bool hostname = true;
};

inline bool is_syslog(std::string_view path) { return path.starts_with("syslog:"); }

// False: error completes "expected ...".  The text of an unresolved name is good only for syslog_server().
bool parse_syslog(std::string_view text, SyslogTarget& out, std::string& error);

// The address as written, and the text with another in its place.
std::string_view syslog_server(std::string_view text);
std::string with_syslog_server(std::string_view text, std::string_view server);

// A socket that doesn't wait; connected when the server is there already.
UniqueFd open_syslog(const SyslogTarget& target);

// severity: RFC 3164's, which are the numbers of log::Level.
bool send_syslog(int socket, const SyslogTarget& target, uint8_t severity, std::string_view text);

}  // namespace beamgate::log
