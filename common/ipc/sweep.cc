#include "common/ipc/sweep.h"

#include <unistd.h>

#include <algorithm>
#include <climits>

namespace beamgate::ipc {

void sweep_descriptors(std::vector<int> keep) {
  keep.insert(keep.end(), {0, 1, 2});
  std::sort(keep.begin(), keep.end());
  unsigned first = 0;
  for (const int fd : keep) {
    if (fd < 0) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > first) close_range(first, number - 1, 0);
    first = std::max(first, number + 1);
  }
  close_range(first, UINT_MAX, 0);
}

}  // namespace beamgate::ipc
