#include "common/ipc/robust_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace beamgate::ipc {
namespace {

// What the kernel walks when the thread ends; glibc's own list is empty, since nobody here uses its robust mutexes.
struct List {
  robust_list_head head{};
  robust_list node{};
};

}  // namespace

bool own(std::atomic<uint32_t>& word) {
  static List list;  // The process's own, in memory it does not share.
  list.head.list.next = &list.node;
  list.node.next = &list.head.list;
  list.head.futex_offset = reinterpret_cast<char*>(&word) - reinterpret_cast<char*>(&list.node);
  list.head.list_op_pending = nullptr;
  if (syscall(SYS_set_robust_list, &list.head, sizeof list.head) != 0) return false;
  word.store(static_cast<uint32_t>(gettid()) | FUTEX_WAITERS);
  return true;
}

bool owner_died(uint32_t value) {
  return (value & FUTEX_OWNER_DIED) != 0;
}

void announce_death(std::atomic<uint32_t>& word) {
  word.fetch_or(FUTEX_OWNER_DIED);
  wake_word(word);
}

void wait_word(const std::atomic<uint32_t>& word, uint32_t value, int64_t timeout_ms) {
  const timespec timeout{timeout_ms / 1'000, (timeout_ms % 1'000) * 1'000'000};
  syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void wake_word(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace beamgate::ipc
