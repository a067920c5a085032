// Ctl: "beamgate ctl COMMAND", an administrator's hand on a running gateway.
//
// What it shows and what it does to connections goes over the control socket (control_client.h); what is the master's own
// matter goes as a signal to the process in the pid file, and the gateway's counters say how it ended.
// Errors   A line on stderr and status 1; 2 for a command line that makes no sense.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace beamgate::master {

struct CtlTarget {
  bool as_json = false;                      // Answers of the gateway are printed as they are.
  std::string control_path;                  // Empty: there is no control socket.
  std::string tried;                         // Where one was looked for then, beside the configuration; may be empty.
  std::function<std::string(int)> send_signal;  // To the running master; a text says why it could not.
};

// What makes no sense of a command and its arguments; empty: nothing.
std::string what_is_wrong(std::span<const std::string> arguments);

// arguments: behind "ctl", without options.  Returns the program's status.
// REQUIRES: nothing is wrong with them.
int run_ctl(std::span<const std::string> arguments, const CtlTarget& target);

std::string_view ctl_usage();

}  // namespace beamgate::master
