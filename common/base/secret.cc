#include "common/base/secret.h"

#include <cstring>

namespace beamgate {

void wipe(std::string& text) noexcept {
  text.resize(text.capacity());  // Never allocates.
  explicit_bzero(text.data(), text.size());
  text.clear();
}

}  // namespace beamgate
