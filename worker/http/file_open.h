// File open: a regular file or a directory below a root, and nothing that leaves the root.
//
// Method   openat2(2) with RESOLVE_BENEATH: ".." above the root, absolute symbolic links and links that lead
//          out are refused by the kernel, at the moment of opening, so that no exchange of a component can
//          slip in between.  Kernels without it are served by a walk that follows no link at all.
// Errors   NotFound; Denied for what exists and must not be served; System.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::http {

struct OpenedFile {
  UniqueFd fd;
  struct stat status {};

  bool directory() const { return S_ISDIR(status.st_mode); }
};

// `relative`: as in a URI behind the root, without a leading slash; empty for the root itself.
Result<OpenedFile> open_beneath(const std::string& root, std::string_view relative);

// The walk for old kernels; for tests.
Result<OpenedFile> open_beneath_without_links(const std::string& root, std::string_view relative);

}  // namespace beamgate::http
