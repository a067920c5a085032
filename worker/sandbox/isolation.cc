#include "worker/sandbox/isolation.h"

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/unique_fd.h"

namespace beamgate::sandbox {
namespace {

constexpr uint64_t kNever = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

}  // namespace

Result<void> isolate() {
  // Rights that are handled, and no rule that grants them anywhere.
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = kNever;
  const UniqueFd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0)));
  if (!ruleset.valid()) return system_error("no Landlock");
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return system_error("can't enter a Landlock domain");
  return {};
}

}  // namespace beamgate::sandbox
