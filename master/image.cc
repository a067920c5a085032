#include "master/image.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/base/bytes.h"
#include "common/config/load.h"
#include "common/ipc/messages.h"
#include "master/program_check.h"
#include "master/shared_pages.h"

namespace beamgate::master {
namespace {

constexpr const char* kState = "BEAMGATE_STATE";
constexpr const char* kOldBinary = "BEAMGATE_OLD_BINARY";
constexpr const char* kCameBack = "BEAMGATE_CAME_BACK";
constexpr std::string_view kDeleted = " (deleted)";

std::string running_binary() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  std::string_view out(path, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  if (out.ends_with(kDeleted)) out.remove_suffix(kDeleted.size());
  return std::string(out);
}

// The descriptor whose number stands in this variable.
UniqueFd take_descriptor(const char* name) {
  const char* text = getenv(name);
  uint64_t number = 0;
  if (text == nullptr || !parse_decimal(text, number) || number > INT_MAX) return UniqueFd();
  const int fd = static_cast<int>(number);
  unsetenv(name);
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return UniqueFd();
  return UniqueFd(fd);
}

void set_inherited(const std::vector<int>& descriptors, bool inherited) {
  for (const int fd : descriptors) fcntl(fd, F_SETFD, inherited ? 0 : FD_CLOEXEC);
}

}  // namespace

std::string handover_version_line() {
  return "beamgate-handover " + std::to_string(HandoverState::kVersion) + " bus " + std::to_string(ipc::kBusVersion);
}

// Links in the path stay: an upgrade may mean that they lead elsewhere now.
Program this_program(int argc, const char* const* argv) {
  Program out;
  out.arguments.assign(argv, argv + argc);
  const std::string_view name = argc > 0 ? argv[0] : "";
  char directory[PATH_MAX];
  if (name.starts_with('/')) {
    out.path = name;
  } else if (name.find('/') != name.npos && getcwd(directory, sizeof directory) != nullptr) {
    out.path = std::string(directory) + '/' + std::string(name);
  } else {
    out.path = running_binary();
  }
  return out;
}

std::optional<Inheritance> take_inheritance() {
  Inheritance out;
  out.state = take_descriptor(kState);
  out.old_binary = take_descriptor(kOldBinary);
  if (const char* reason = getenv(kCameBack)) out.came_back = reason;
  unsetenv(kCameBack);
  if (!out.state.valid()) return std::nullopt;
  return out;
}

std::string path_of_open(const UniqueFd& binary) { return "/proc/self/fd/" + std::to_string(binary.get()); }

Error execute(const std::string& path, std::vector<std::string> arguments, const Inheritance& inheritance,
              const std::vector<int>& descriptors) {
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  std::vector<int> kept = descriptors;
  kept.push_back(inheritance.state.get());
  setenv(kState, std::to_string(inheritance.state.get()).c_str(), 1);
  if (inheritance.old_binary.valid()) {
    kept.push_back(inheritance.old_binary.get());
    setenv(kOldBinary, std::to_string(inheritance.old_binary.get()).c_str(), 1);
  }
  if (inheritance.came_back) setenv(kCameBack, inheritance.came_back->c_str(), 1);
  set_inherited(kept, true);
  execv(path.c_str(), pointers_to(arguments).data());
  const Error error = system_error("can't execute the binary");
  set_inherited(kept, false);
  for (const char* name : {kState, kOldBinary, kCameBack}) unsetenv(name);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return error;
}

int rehearse() {
  const auto fail = [](const std::string& what) {
    fprintf(stderr, "beamgate: [emerg] handover: %s\n", what.c_str());
    return 1;
  };
  const auto inheritance = take_inheritance();
  if (!inheritance) return fail("there is no state");
  const auto bytes = read_file(inheritance->state.get());
  if (!bytes.ok()) return fail(bytes.error().message());
  const auto state = parse_handover_state(bytes.value());
  if (!state.ok()) return fail(state.error().message());
  if (state.value().process.lives_layout != SharedPages::lives_layout()) {
    return fail("keepers of this version share something else");
  }
  const auto loaded = config::load_text(state.value().process.config);
  if (!loaded.ok()) return fail("the configuration in force is no longer valid: " + config::report(loaded));
  return 0;
}

}  // namespace beamgate::master
