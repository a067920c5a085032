#include "common/config/script.h"

#include <algorithm>

namespace beamgate::config {

void order_script(Script& script) {
  std::stable_sort(script.begin(), script.end(), [](const Step& a, const Step& b) { return a.order < b.order; });
}

}  // namespace beamgate::config
