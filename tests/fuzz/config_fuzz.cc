// Configuration: no text makes the reader crash or hang, what is refused says where and why, and what is accepted means the
// same when a worker reads it as the master wrote it.  Files and names are out of reach: includes find the built-in ones.
#include "common/base/assert.h"
#include "common/config/load.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

// A path that leads somewhere would make what is read depend on the machine.
bool names_files(std::string_view text) {
  for (const std::string_view word : {"/dev", "/proc", "/sys", "/etc", "/usr", "/tmp", "..", "localhost"}) {
    if (text.find(word) != text.npos) return true;
  }
  return false;
}

config::LoadOptions options() {
  config::LoadOptions out;
  out.prefix = "/nonexistent";
  out.resolve_names = false;
  return out;
}

}  // namespace

FUZZ_TARGET(config) {
  if (names_files(bytes)) return;
  const config::LoadResult first = config::load_text(bytes, options());
  BG_ASSERT(first.ok() == first.errors.empty());
  for (const config::Diagnostic& error : first.errors) BG_ASSERT(!error.message.empty());
  const std::string report = config::report(first);
  config::dump(first.sources, true);
  if (!first.ok()) {
    BG_ASSERT(report.find("[emerg]") != report.npos);
    return;
  }
  const config::LoadResult second = config::load_text(first.config->dump, options());
  BG_ASSERT(second.ok());
  BG_ASSERT(second.config->dump == first.config->dump);
}

}  // namespace beamgate::fuzz
