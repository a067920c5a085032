#include "worker/upstream/body_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace beamgate::upstream {

Result<std::unique_ptr<BodyFile>> BodyFile::create(const std::string& directory) {
  UniqueFd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid()) return system_error("can't make a file for a request body");
  return std::unique_ptr<BodyFile>(new BodyFile(std::move(file)));
}

Result<void> BodyFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return system_error("can't write a request body");
    size_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<void> BodyFile::rewind() {
  loaded_ = 0;
  return load();
}

Result<void> BodyFile::took(size_t bytes) {
  taken_ += bytes;
  return taken_ < piece_.size() ? Result<void>() : load();
}

Result<void> BodyFile::load() {
  piece_.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, size_ - loaded_)));
  taken_ = 0;
  size_t filled = 0;
  while (filled < piece_.size()) {
    const ssize_t got =
        pread(file_.get(), piece_.data() + filled, piece_.size() - filled, static_cast<off_t>(loaded_ + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error("can't read a request body");
    filled += static_cast<size_t>(got);
  }
  loaded_ += filled;
  return {};
}

}  // namespace beamgate::upstream
