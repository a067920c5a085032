#include "common/base/memory_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace beamgate {

Result<UniqueFd> make_memory_file(const char* name, std::string_view bytes, unsigned flags) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC | flags));
  if (!file.valid()) return system_error("can't make a file in memory");
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = pwrite(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (written <= 0) return system_error("can't write a file in memory");
    done += static_cast<size_t>(written);
  }
  return file;
}

Result<void> read_memory_file(int file, size_t bytes_max, std::string& out) {
  struct stat status {};
  if (fstat(file, &status) != 0) return system_error("can't look at a file in memory");
  if (static_cast<uint64_t>(status.st_size) > bytes_max) return Error{Code::Invalid, 0, "a file in memory is too large"};
  out.assign(static_cast<size_t>(status.st_size), '\0');
  for (size_t done = 0; done < out.size();) {
    const ssize_t got = pread(file, out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (got <= 0) return system_error("can't read a file in memory");
    done += static_cast<size_t>(got);
  }
  return {};
}

}  // namespace beamgate
