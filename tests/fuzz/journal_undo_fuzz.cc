// Journal: a log that makes no sense is taken back as far as it does, and nothing outside of the arena is written.
// Input: a u16 length that the head claims, then the log.
#include <memory>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/record/journal.h"

namespace beamgate::fuzz {

FUZZ_TARGET(journal_undo) {
  constexpr size_t kMappedBytes = 4096;
  Input input(bytes);
  const size_t low = input.byte();
  record::Journal::Head head;
  head.bytes = low | static_cast<uint64_t>(input.byte()) << 8;
  // As in the arena, the log is as long as it may be, whatever the head says.
  const auto log = std::make_unique<char[]>(65536 + 64);
  const std::string_view rest = input.rest().substr(0, 65536);
  std::copy(rest.begin(), rest.end(), log.get());
  const auto base = std::make_unique<char[]>(kMappedBytes);
  record::Journal journal(&head, log.get(), base.get());
  journal.undo(kMappedBytes, [&](uint64_t offset, uint64_t count) {
    BG_ASSERT(offset <= kMappedBytes && count <= kMappedBytes - offset);
  });
}

}  // namespace beamgate::fuzz
