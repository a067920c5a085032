// Record batch: connections on their way between workers, from whatever build: refused whole, one by one, or written again
// as the same.  Input: a batch; its size and checksum are also made right, so that what is behind them is tried.
#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/base/crc32c.h"
#include "tests/fuzz/target.h"
#include "worker/move/record_tlv.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kHeadBytes = 32, kTotalAt = 24, kChecksumAt = 28;

std::string sealed(std::string_view bytes) {
  std::string out(bytes);
  if (out.size() < kHeadBytes) return out;
  store_le(out.data() + kTotalAt, static_cast<uint32_t>(out.size()));
  store_le(out.data() + kChecksumAt, uint32_t{0});
  store_le(out.data() + kChecksumAt, crc32c(out));
  return out;
}

std::string written(const move::Image& image) {
  move::BatchWriter writer(1, 2);
  writer.add(image);
  return writer.finish();
}

void check(const std::string& bytes) {
  const auto batch = move::read_batch(bytes);
  if (!batch.ok()) return;
  BG_ASSERT(batch.value().connections.size() <= move::kBatchConnectionsMax);
  for (const move::Received& received : batch.value().connections) {
    if (received.refusal != nullptr) continue;
    const std::string once = written(received.image);
    const auto again = move::read_batch(once);
    BG_ASSERT(again.ok() && again.value().connections.size() == 1);
    BG_ASSERT(again.value().connections[0].refusal == nullptr);
    BG_ASSERT(written(again.value().connections[0].image) == once);
  }
}

}  // namespace

FUZZ_TARGET(record_batch) {
  check(std::string(bytes));
  check(sealed(bytes));
}

}  // namespace beamgate::fuzz
