#include "worker/http/trace.h"

namespace beamgate::http {

void Trace::clear() {
  destination = nullptr;
  attempts.clear();
  upstream_fields.clear();
  sent_fields.clear();
}

}  // namespace beamgate::http
