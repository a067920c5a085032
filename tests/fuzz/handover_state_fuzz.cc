// Handover state: what one image of the master leaves to the next is refused or comes back the same.  Input: a state; its
// hash is also made right, so that what is behind it is tried.
#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/ipc/handover.h"
#include "master/handover_state.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kHashAt = 12, kItemsAt = 20;

std::string sealed(std::string_view bytes) {
  std::string out(bytes);
  if (out.size() >= kItemsAt) store_le(out.data() + kHashAt, stable_hash(std::string_view(out).substr(kItemsAt)));
  return out;
}

void check(const std::string& bytes) {
  const auto state = master::parse_handover_state(bytes);
  if (!state.ok()) return;
  for (const auto& slot : state.value().slots) BG_ASSERT(slot.slot < ipc::kSlotsMax && slot.pid >= 0);
  for (const int descriptor : state.value().descriptors()) BG_ASSERT(descriptor > 2);
  // Items that aren't known are skipped, so only what was understood comes back.
  const std::string once = serialise(state.value());
  const auto again = master::parse_handover_state(once);
  BG_ASSERT(again.ok() && serialise(again.value()) == once);
  BG_ASSERT(again.value().descriptors() == state.value().descriptors());
}

}  // namespace

FUZZ_TARGET(handover_state) {
  check(std::string(bytes));
  check(sealed(bytes));
}

}  // namespace beamgate::fuzz
