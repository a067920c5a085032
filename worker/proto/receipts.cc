#include "worker/proto/receipts.h"

#include <utility>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::proto {
namespace {

uint64_t key_of(record::ConnId connection) { return uint64_t{connection.slot} << 32 | connection.generation; }

std::string bytes_of(uint64_t number) {
  std::string bytes(sizeof number, '\0');
  store_le(bytes.data(), number);
  return bytes;
}

}  // namespace

Receipts::Receipts(uv::Loop& loop, Answer answer)
    : loop_(loop), answer_(std::move(answer)), first_number_(crypto::random_u64()), next_number_(first_number_) {}

void Receipts::begin(uint64_t call, uint32_t acknowledge_ms) {
  BG_ASSERT(open_ == nullptr);
  open_ = std::make_unique<Entry>();
  open_->call = call;
  open_->acknowledge_ms = acknowledge_ms;
  if (acknowledge_ms > 0 && waiting_.size() < kWaitingMax) open_->ping = bytes_of(next_number_++);
}

void Receipts::note_sent(record::ConnId connection, bool pinged) {
  ++open_->receipt.subscribers;
  ++open_->receipt.sent;
  if (pinged) open_->asked.insert(key_of(connection));
}

void Receipts::note_dropped() {
  ++open_->receipt.subscribers;
  ++open_->receipt.dropped;
}

void Receipts::end() {
  const std::unique_ptr<Entry> done = std::move(open_);
  if (done->asked.empty()) return answer_(done->call, done->receipt);
  const uint64_t number = next_number_ - 1;
  const auto entry = waiting_.emplace(number, std::move(*done)).first;
  entry->second.timeout = std::make_unique<uv::Timer>(loop_, [this, number] { settle(waiting_.find(number)); });
  entry->second.timeout->start(entry->second.acknowledge_ms);
}

void Receipts::on_pong(record::ConnId connection, std::string_view payload) {
  uint64_t number = 0;
  if (waiting_.empty() || payload.size() != sizeof number) return;
  number = load_le<uint64_t>(payload.data());
  if (number - first_number_ >= next_number_ - first_number_) return;
  for (auto next = waiting_.begin(); next != waiting_.end() && next->first <= number;) {
    const auto entry = next++;
    if (entry->second.asked.erase(key_of(connection)) == 0) continue;
    ++entry->second.receipt.acknowledged;
    if (entry->second.asked.empty()) settle(entry);
  }
}

void Receipts::on_gone(record::ConnId connection) {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto entry = next++;
    if (entry->second.asked.erase(key_of(connection)) > 0 && entry->second.asked.empty()) settle(entry);
  }
}

void Receipts::settle(Waiting::iterator entry) {
  const auto settled = waiting_.extract(entry);
  answer_(settled.mapped().call, settled.mapped().receipt);
}

}  // namespace beamgate::proto
