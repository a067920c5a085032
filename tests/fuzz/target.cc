#include "tests/fuzz/target.h"

namespace beamgate::fuzz {

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

}  // namespace beamgate::fuzz
