// RobustWord: a futex in shared memory that tells of its owner's death.
//
// The kernel sets FUTEX_OWNER_DIED in it, and wakes who waits, when the owning thread ends: at once, before its
// memory is taken down and whatever way it ends.
// Owner      The thread that called own(); at most one word per process, by its main thread.
// Source     get_robust_list(2), linux/Documentation/locking/robust-futexes.rst.
#pragma once

#include <atomic>
#include <cstdint>

namespace beamgate::ipc {

// Stores the calling thread's id.  False: the kernel has no robust futexes.
bool own(std::atomic<uint32_t>& word);

bool owner_died(uint32_t value);

// As if the owner had died, to be told by itself.  Async-signal-safe.
void announce_death(std::atomic<uint32_t>& word);

// Until the word is not `value` any more, somebody wakes it or the time is over.  Async-signal-safe.
void wait_word(const std::atomic<uint32_t>& word, uint32_t value, int64_t timeout_ms);
void wake_word(std::atomic<uint32_t>& word);

}  // namespace beamgate::ipc
