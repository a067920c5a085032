#include "worker/ws/message_rates.h"

#include <algorithm>
#include <string>

#include "common/base/clock.h"
#include "common/ipc/rate_table.h"
#include "worker/net/connections.h"
#include "worker/record/counted_address.h"
#include "worker/record/text_block.h"

namespace beamgate::ws {

using config::MessageRate;
using metrics::Metric;
using record::Record;

MessageRates::MessageRates(Context& context)
    : context_(context), hash_(context.address_seed), timer_(context.loop, [this] { resume_due(); }) {}

// 0: there is nothing to count by.
uint64_t MessageRates::key_of(const Record& record, MessageRate::Of of) {
  std::string key = "websocket_rate";
  key += static_cast<char>(of);
  switch (of) {
    case MessageRate::Of::Connection:
      key.append(reinterpret_cast<const char*>(&record.uid), sizeof record.uid);
      break;
    case MessageRate::Of::User: {
      const std::string_view user = record::text_of(context_.arena, record.user);
      if (user.empty()) return 0;
      key += user;
      break;
    }
    case MessageRate::Of::Address:
      key += record::counted_address(record);
      break;
  }
  return std::max<uint64_t>(hash_(key), 1);
}

MessageRates::Verdict MessageRates::take(Record& record, const config::WebSocketAction& action) {
  static const auto kWindow = ipc::RateTable::window("websocket_rate", kKeyBytes);
  if (context_.rates == nullptr) return Verdict::Pass;
  const int64_t now_ms = monotonic_ms();
  int64_t delay_ms = 0;
  for (const MessageRate& limit : action.rates) {
    const uint64_t key = key_of(record, limit.of);
    if (key == 0) continue;
    // The burst is what may come at once, the first message included.
    const ipc::RateTable::Rate rate{limit.rate_milli, (limit.burst - 1) * 1'000};
    const auto found = context_.rates->take(kWindow, key, rate, now_ms);
    if (!found.admitted && limit.policy != MessageRate::Policy::Delay) {
      const bool closes = limit.policy == MessageRate::Policy::Close;
      context_.metrics.add(closes ? Metric::RateExceededClosed : Metric::RateExceededDropped);
      return closes ? Verdict::Close : Verdict::Drop;
    }
    // The next message has to find room for itself.
    const int64_t above_milli = int64_t{found.excess_milli} + 1'000 - int64_t{rate.burst_milli};
    if (limit.policy == MessageRate::Policy::Delay && above_milli > 0) {
      delay_ms = std::max(delay_ms, above_milli * 1'000 / limit.rate_milli);
    }
  }
  if (delay_ms > 0) pause(record, delay_ms);
  return Verdict::Pass;
}

void MessageRates::pause(Record& record, int64_t delay_ms) {
  context_.metrics.add(Metric::RateExceededDelayed);
  context_.connections.pause(record, record::kPauseLayer);
  const int64_t at_ms = monotonic_ms() + delay_ms;
  const bool first = paused_.empty() || at_ms < paused_.begin()->first;
  paused_.emplace(at_ms, context_.connections.id_of(record));
  if (first) timer_.start(delay_ms);
}

void MessageRates::resume_due() {
  const int64_t now_ms = monotonic_ms();
  while (!paused_.empty() && paused_.begin()->first <= now_ms) {
    Record* record = context_.connections.find(paused_.begin()->second);
    paused_.erase(paused_.begin());
    if (record != nullptr) context_.connections.resume(*record, record::kPauseLayer);
  }
  if (!paused_.empty()) timer_.start(std::max<int64_t>(paused_.begin()->first - now_ms, 1));
}

}  // namespace beamgate::ws
