#include "worker/sandbox/refusals.h"

#include <seccomp.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "worker/sandbox/system_calls.h"

namespace beamgate::sandbox {
namespace {

// Signal handlers get no argument of ours.
constexpr int kNumbers = 1'024;
std::atomic<uint64_t> refused_calls = 0;
std::atomic<bool> refused[kNumbers];
std::atomic<bool> told[kNumbers];

void set_result(void* context, int error) {
  [[maybe_unused]] auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  machine.gregs[REG_RAX] = -error;
#elif defined(__aarch64__)
  machine.regs[0] = static_cast<uint64_t>(-int64_t{error});
#else
  static_cast<void>(error);
#endif
}

void say(const char* text) {
  const ssize_t written = write(STDERR_FILENO, text, strlen(text));
  static_cast<void>(written);
}

[[noreturn]] void end_worker(int number) {
  char digits[16];
  char* cursor = digits + sizeof digits - 1;
  *cursor = '\0';
  do {
    *--cursor = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  say("a worker made system call ");
  say(cursor);
  say(", which none of its code makes: it ends\n");
  abort();
}

void on_refusal(int, siginfo_t* info, void* context) {
  const int kept = errno;
  const int number = info->si_syscall;
  if (is_hostile(number)) end_worker(number);
  refused_calls.fetch_add(1, std::memory_order_relaxed);
  if (number >= 0 && number < kNumbers) refused[number].store(true, std::memory_order_relaxed);
  set_result(context, number > kNewestKnown ? ENOSYS : EPERM);
  errno = kept;
}

}  // namespace

Result<void> handle_refusals() {
  struct sigaction action {};
  action.sa_sigaction = on_refusal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sigaction(SIGSYS, &action, nullptr) != 0) return system_error("can't handle SIGSYS");
  return {};
}

Refusals take_refusals() {
  Refusals out;
  if (refused_calls.load(std::memory_order_relaxed) == 0) return out;
  out.calls = refused_calls.exchange(0, std::memory_order_relaxed);
  for (int number = 0; number < kNumbers; ++number) {
    if (refused[number] && !told[number].exchange(true)) out.numbers.push_back(number);
  }
  return out;
}

std::string name_of(int system_call) {
  char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, system_call);
  const std::string out = name == nullptr ? "?" : name;
  free(name);
  return out;
}

}  // namespace beamgate::sandbox
