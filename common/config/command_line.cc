#include "common/config/command_line.h"

#include <algorithm>

namespace beamgate::config {
namespace {

using Mode = CommandLine::Mode;
using Signal = CommandLine::Signal;

struct SignalName {
  std::string_view name;
  Signal signal;
};

constexpr SignalName kSignals[] = {
    {"stop", Signal::Stop},     {"quit", Signal::Quit},       {"reload", Signal::Reload},
    {"reopen", Signal::Reopen}, {"upgrade", Signal::Upgrade},
};

bool set_signal(std::string_view name, CommandLine& out, std::string& error) {
  for (const SignalName& entry : kSignals) {
    if (entry.name != name) continue;
    out.signal = entry.signal;
    out.mode = std::max(out.mode, Mode::Signal);
    return true;
  }
  error = "invalid option: \"-s " + std::string(name) + "\", expected stop, quit, reload, reopen or upgrade";
  return false;
}

bool set_value(char option, std::string_view value, CommandLine& out, std::string& error) {
  switch (option) {
    case 'c':
      out.load.path = value;
      return true;
    case 'p':
      out.load.prefix = value;
      return true;
    case 'g':
      out.load.global_directives = value;
      return true;
    default:
      return set_signal(value, out, error);
  }
}

// What an option's value is, for the message when it is missing; empty when the option takes none.
std::string_view value_name(char option) {
  switch (option) {
    case 'c':
      return "a file name";
    case 'p':
      return "a directory name";
    case 'g':
      return "directives";
    case 's':
      return "a signal name";
    default:
      return {};
  }
}

bool set_flag(char option, CommandLine& out) {
  Mode mode = out.mode;
  switch (option) {
    case 'q':
      out.quiet = true;
      break;
    case 't':
      mode = Mode::Test;
      break;
    case 'T':
      mode = Mode::TestAndDump;
      break;
    case 'v':
      mode = Mode::Version;
      break;
    case 'V':
      mode = Mode::VersionDetails;
      break;
    case 'h':
    case '?':
      mode = Mode::Help;
      break;
    default:
      return false;
  }
  out.mode = std::max(out.mode, mode);
  return true;
}

// False: no such word.
bool set_word(std::string_view word, CommandLine& out) {
  if (word == "--handover-version") {
    out.mode = std::max(out.mode, Mode::HandoverVersion);
  } else if (word == "--handover-rehearsal") {
    out.mode = std::max(out.mode, Mode::HandoverRehearsal);
  } else if (word == "--help") {
    out.mode = std::max(out.mode, Mode::Help);
  } else if (word == "--version") {
    out.mode = std::max(out.mode, Mode::Version);
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool parse(std::span<const char* const> args, CommandLine& out, std::string& error) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view word = args[i];
    if (set_word(word, out)) continue;
    if (word.size() < 2 || word[0] != '-' || word.starts_with("--")) {
      error = "invalid option: \"" + std::string(word) + "\"";
      return false;
    }
    for (size_t at = 1; at < word.size(); ++at) {
      const char option = word[at];
      const std::string_view wanted = value_name(option);
      if (wanted.empty()) {
        if (set_flag(option, out)) continue;
        error = std::string("invalid option: \"") + option + "\"";
        return false;
      }
      std::string_view value = word.substr(at + 1);
      if (value.empty() && i + 1 < args.size()) value = args[++i];
      if (value.empty()) {
        error = std::string("option \"-") + option + "\" requires " + std::string(wanted);
        return false;
      }
      if (!set_value(option, value, out, error)) return false;
      break;
    }
  }
  return true;
}

std::string_view usage() {
  return "Usage: beamgate [-?hvVtTq] [-s signal] [-p prefix] [-c file] [-g directives]\n"
         "       beamgate ctl COMMAND\n"
         "\n"
         "Options:\n"
         "  -?,-h         : this help\n"
         "  -v            : show version and exit\n"
         "  -V            : show version and what it was built with, then exit\n"
         "  -t            : test configuration and exit\n"
         "  -T            : test configuration, print it with secrets masked, and exit\n"
         "  -q            : say nothing about a configuration that passes its test\n"
         "  -s signal     : send a signal to the master: stop, quit, reload, reopen, upgrade\n"
         "  -p prefix     : what relative paths start from (default: /etc/beamgate/)\n"
         "  -c file       : configuration file (default: beamgate.conf, or the built-in one)\n"
         "  -g directives : directives for the main context, outside of the file\n"
         "\n"
         "\"beamgate ctl\" asks and directs a running gateway; \"beamgate ctl -h\" shows how.\n";
}

}  // namespace beamgate::config
