#include "worker/predecessor.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include <dirent.h>

#include "worker/record/record.h"

namespace beamgate {
namespace {

std::vector<int> open_descriptors() {
  std::vector<int> out;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return out;
  while (const dirent* entry = readdir(directory)) {
    char* end = nullptr;
    const long number = strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && number != dirfd(directory)) out.push_back(static_cast<int>(number));
  }
  closedir(directory);
  return out;
}

// A connection ends for its peer only with shutdown(): somebody else may hold it too.
void close_foreign(int fd) {
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode)) {
    int listening = 0;
    socklen_t length = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening == 0) {
      shutdown(fd, SHUT_RDWR);
    }
  }
  close(fd);
}

}  // namespace

Result<Inherited> open_predecessor(ipc::Predecessor& predecessor) {
  auto arena = record::Arena::open(std::move(predecessor.arena));
  if (!arena.ok()) return arena.error();
  Inherited inherited{std::move(arena).value(), {}, predecessor.death};
  if (!inherited.arena.undo(inherited.restored)) return Error{Code::Invalid, 0, "its journal is damaged"};
  return inherited;
}

void sweep_descriptors(std::vector<int> keep, const record::Arena* arena) {
  keep.insert(keep.end(), {0, 1, 2});
  if (arena != nullptr) {
    for (uint32_t slot = 0; slot < std::min(arena->vault().slots_touched, arena->slots()); ++slot) {
      const record::Record& record = arena->records()[slot];
      if (record.phase != record::Phase::Free) keep.push_back(record.fd);
    }
  }
  std::sort(keep.begin(), keep.end());
  for (const int fd : open_descriptors()) {
    if (!std::binary_search(keep.begin(), keep.end(), fd)) close_foreign(fd);
  }
}

}  // namespace beamgate
