#include "worker/sandbox/sandbox.h"

#include "common/base/capabilities.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/refusals.h"
#include "worker/sandbox/system_calls.h"

namespace beamgate::sandbox {

std::vector<std::string> enter() {
  std::vector<std::string> missing;
  const auto note = [&missing](const Result<void>& step) {
    if (!step.ok()) missing.push_back(step.error().message());
    return step.ok();
  };
  drop_bounding_set();
  note(drop_capabilities());
  // The others need it.
  if (!note(forbid_new_privileges())) return missing;
  note(isolate());
  if (note(handle_refusals())) note(filter_system_calls());
  return missing;
}

}  // namespace beamgate::sandbox
