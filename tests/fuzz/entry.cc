// Entry: what libFuzzer calls.  Its inputs are copies of their exact size, so AddressSanitizer sees a byte too far.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  beamgate::fuzz::targets().front().run({reinterpret_cast<const char*>(data), size});
  return 0;
}
