#include "master/keeper/clone.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/robust_word.h"

namespace beamgate::master {
namespace {

constexpr int64_t kProbeMs = 2'000;

std::string probe(std::atomic<uint32_t>& word) {
  const pid_t child = clone_sharing_descriptors();
  if (child < 0) return system_error("can't share descriptors with a child").message();
  if (child == 0) _exit(ipc::own(word) ? 0 : 1);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "the kernel has no robust futexes";
  const uint32_t value = word.load();
  if (!ipc::owner_died(value)) ipc::wait_word(word, value, kProbeMs);
  return ipc::owner_died(word.load()) ? "" : "the kernel does not tell of a thread's death";
}

}  // namespace

pid_t clone_sharing_descriptors() {
  unsigned long flags = CLONE_FILES | SIGCHLD;
  // Where libc keeps the thread's id; fork() would renew it there.
  int* thread_id = nullptr;
  if (prctl(PR_GET_TID_ADDRESS, &thread_id, 0, 0, 0) == 0 && thread_id != nullptr) {
    flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  }
#if defined(__x86_64__)
  return static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, thread_id, nullptr));
#else
  return static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, thread_id));
#endif
}

std::string why_no_keeper() {
  const UniqueFd file(memfd_create("beamgate-probe", MFD_CLOEXEC));
  if (!file.valid()) return system_error("can't make files in memory").message();
  void* page = mmap(nullptr, sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return system_error("can't share memory").message();
  std::string reason = probe(*new (page) std::atomic<uint32_t>(0));
  munmap(page, sizeof(uint32_t));
  return reason;
}

}  // namespace beamgate::master
