// Memory file: bytes that go to another process, or another image of this one, as a descriptor (memfd_create(2)).
//
// Position   Nobody's: both ends say where they write and read, since whoever has the descriptor shares it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate {

// name: as /proc shows it.  flags: beside MFD_CLOEXEC.
Result<UniqueFd> make_memory_file(const char* name, std::string_view bytes, unsigned flags = 0);

// The whole of it; Invalid when it is larger.  `out`, which may be a Secret, is never longer than the file.
Result<void> read_memory_file(int file, size_t bytes_max, std::string& out);

}  // namespace beamgate
