#include "common/fault/fault.h"

#ifdef BEAMGATE_FAULTS

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

namespace beamgate::fault {
namespace {

// Through volatile, so that no compiler sees what happens and no sanitizer is asked first.
volatile uintptr_t nowhere = 0;

__attribute__((no_sanitize("undefined"))) void segv() { *reinterpret_cast<volatile int*>(nowhere) = 1; }

// Fills the stack; what it adds up keeps the calls from being made a loop.
__attribute__((noinline)) uintptr_t stack(uintptr_t depth) {
  volatile char page[4096];
  page[depth % sizeof page] = static_cast<char>(depth);
  if (nowhere != 0) return depth;
  return stack(depth + 1) + static_cast<uintptr_t>(page[(depth + nowhere) % sizeof page]);
}

void loop() {
  while (nowhere == 0) {
  }
}

void double_free() {
  void* volatile block = malloc(64);
  free(block);
  free(block);
}

void happen(std::string_view fault) {
  if (fault == "segv") segv();
  if (fault == "abort") abort();
  if (fault == "stack") nowhere = stack(0);
  if (fault == "throw") throw std::runtime_error("a fault was asked for");
  if (fault == "loop") loop();
  if (fault == "double_free") double_free();
  if (fault == "exec") execl("/bin/true", "true", nullptr);
  if (fault == "mkdir") static_cast<void>(!mkdir("/tmp/beamgate-never", 0700));
  if (fault == "exit") _exit(3);
  if (fault == "kill") raise(SIGKILL);
}

// Of the binary that runs; when another file has its name by now, no directory is called so.
std::string directory() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) + ".faults/" : "/nowhere/";
}

}  // namespace

void obey(std::string_view message) {
  constexpr std::string_view kPrefix = "fault:";
  if (message.starts_with(kPrefix)) happen(message.substr(kPrefix.size()));
}

void point(const char* name) {
  static std::map<std::string, int, std::less<>> passed;
  const std::string path = directory() + name;
  std::ifstream file(path);
  std::string fault, often;
  int when = 1;
  if (!(file >> fault)) return;
  file >> when >> often;
  if (++passed[name] < when) return;
  if (often == "once" && unlink(path.c_str()) != 0) return;
  happen(fault);
}

void linger() {
  static const char* const text = getenv("BEAMGATE_LINGER_US");
  static const auto time = std::chrono::microseconds(text == nullptr ? 0 : atoi(text));
  if (time.count() == 0) return;
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace beamgate::fault

#endif
