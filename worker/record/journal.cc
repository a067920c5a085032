#include "worker/record/journal.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace beamgate::record {
namespace {

void close_now(int fd, bool end) {
  if (end) shutdown(fd, SHUT_RDWR);
  ::close(fd);
}

}  // namespace

void Journal::close_descriptor(int fd, bool end) {
  if (!open()) return close_now(fd, end);
  doomed_.push_back({fd, end});
}

void Journal::close_doomed() {
  for (const Doomed& doomed : std::exchange(doomed_, {})) close_now(doomed.fd, doomed.end);
}

void Journal::give_back() {
  const size_t used = (head_->bytes + 4095) / 4096 * 4096;
  head_->bytes = 0;
  madvise(log_ + kKeptBytes, used - kKeptBytes, MADV_REMOVE);
}

bool Journal::undo(size_t mapped_bytes, const std::function<void(uint64_t, uint64_t)>& restored) {
  // Half of a step would be worse than none.  A commit empties the log first.
  if (head_->overflow != 0 && head_->bytes > 0) return false;
  std::vector<uint64_t> entries;
  bool sane = head_->bytes <= kBytesMax;
  const uint64_t end = sane ? head_->bytes : 0;
  for (uint64_t at = 0; sane && at < end;) {
    Entry entry;
    sane = end - at >= sizeof entry;
    if (!sane) break;
    memcpy(&entry, log_ + at, sizeof entry);
    sane = entry.bytes <= end - at - sizeof entry && entry.offset <= mapped_bytes &&
           entry.bytes <= mapped_bytes - entry.offset;
    if (!sane) break;
    entries.push_back(at);
    at += sizeof entry + (entry.bytes + 7) / 8 * 8;
  }
  for (auto at = entries.rbegin(); at != entries.rend(); ++at) {
    Entry entry;
    memcpy(&entry, log_ + *at, sizeof entry);
    memcpy(base_ + entry.offset, log_ + *at + sizeof entry, entry.bytes);
    restored(entry.offset, entry.bytes);
  }
  fence();
  head_->bytes = 0;
  return sane;
}

}  // namespace beamgate::record
