#include "common/base/descriptor_room.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace beamgate {
namespace {

constexpr int kKept = 64;

int limit() {
  static const int kLimit = [] {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > INT_MAX) return INT_MAX;
    return static_cast<int>(files.rlim_cur);
  }();
  return kLimit;
}

}  // namespace

int descriptors_above(int fd) { return limit() - 1 - fd; }

int descriptors_kept() { return std::min(kKept, limit() / 4); }

UniqueFd opened_for_client(UniqueFd fd) {
  if (!fd.valid() || descriptors_above(fd.get()) >= descriptors_kept() / 2) return fd;
  fd.reset();
  errno = EMFILE;
  return fd;
}

}  // namespace beamgate
