#include "worker/http/file_open.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "common/base/descriptor_room.h"

namespace beamgate::http {
namespace {

// O_NONBLOCK: opening a FIFO must not wait for its writer.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

Error error_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return Error{Code::NotFound, number, "no such file"};
    case EACCES:
    case EPERM:
    case ELOOP:
    case EXDEV:
      return Error{Code::Denied, number, "file must not be served"};
    default:
      return Error{Code::System, number, "file could not be opened"};
  }
}

Result<OpenedFile> inspect(UniqueFd fd) {
  if (!fd.valid()) return error_of(errno);
  OpenedFile out;
  if (fstat(fd.get(), &out.status) != 0) return error_of(errno);
  // Devices, FIFOs and sockets have no content that could be served.
  if (!S_ISREG(out.status.st_mode) && !out.directory()) return Error{Code::NotFound, 0, "not a regular file"};
  out.fd = std::move(fd);
  return out;
}

UniqueFd open_root(const std::string& root) {
  return opened_for_client(UniqueFd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
}

UniqueFd open_kernel_checked(int root, const std::string& relative) {
  open_how how{};
  how.flags = kReadFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how)));
}

}  // namespace

Result<OpenedFile> open_beneath_without_links(const std::string& root, std::string_view relative) {
  UniqueFd at = open_root(root);
  if (!at.valid()) return error_of(errno);
  while (true) {
    const size_t slash = relative.find('/');
    const std::string name(relative.substr(0, slash));
    if (name == "..") return error_of(EXDEV);
    const bool last = slash == relative.npos;
    const int flags = last ? kReadFlags | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd next(openat(at.get(), name.empty() ? "." : name.c_str(), flags));
    if (last || !next.valid()) return inspect(std::move(next));
    at = std::move(next);
    relative.remove_prefix(slash + 1);
  }
}

Result<OpenedFile> open_beneath(const std::string& root, std::string_view relative) {
  const UniqueFd root_fd = open_root(root);
  if (!root_fd.valid()) return error_of(errno);
  UniqueFd fd = open_kernel_checked(root_fd.get(), relative.empty() ? "." : std::string(relative));
  if (!fd.valid() && errno == ENOSYS) return open_beneath_without_links(root, relative);
  return inspect(std::move(fd));
}

}  // namespace beamgate::http
