// Wakes: exchanges that wait for a moment (limit_req, limit_rate), the earliest first.
//
// Owner      Dispatcher, which goes on with them; an exchange that has ended meanwhile is not found any more.
// Thread     Worker loop thread only.
// Limits     Two for each exchange in flight: it waits for its rate before it is answered, and then for its
//            response's.
#pragma once

#include <cstdint>
#include <queue>

#include "worker/http/exchange.h"

namespace beamgate::http {

class Wakes {
 public:
  void add(int64_t at_ms, ExchangeId exchange) { queue_.push({at_ms, exchange}); }
  int64_t next_ms() const { return queue_.empty() ? 0 : queue_.top().at_ms; }  // Monotonic; 0: none.
  bool due(int64_t now_ms) const { return !queue_.empty() && queue_.top().at_ms <= now_ms; }
  ExchangeId take() {  // REQUIRES: one is due.
    const ExchangeId exchange = queue_.top().exchange;
    queue_.pop();
    return exchange;
  }

 private:
  struct Wake {
    int64_t at_ms = 0;
    ExchangeId exchange;
    bool operator<(const Wake& other) const { return at_ms > other.at_ms; }  // The earliest on top.
  };
  std::priority_queue<Wake> queue_;
};

}  // namespace beamgate::http
