// Event feed: the events for one application, sent in order, one batch at a time.
//
//   Empty    -- event -------------------------------> Gathering (batch_delay, or batch_events_max is reached)
//   Gathering -- timer ------------------------------> Sending
//   Sending  -- 2xx, 410 ----------------------------> Empty or Gathering
//   Sending  -- anything else -----------------------> Retrying (backoff with jitter, Retry-After at least)
//   Retrying -- timer -------------------------------> Sending, the same events under the same webhook-id
//   Sending  -- fails, oldest event past retry_time -> Empty or Gathering, the batch is dropped
//   any      -- halt() ------------------------------> Halted, for good
//
// Owner      EventQueue, one for each webhook name.
// Limits     event_queue events; a new one above it is refused.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/config/model.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/uv/timer.h"
#include "worker/hook/event_store.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

// Sends one batch; done runs later, once.
using SendBatch = std::function<void(const std::shared_ptr<const config::Webhook>& endpoint, std::string_view id,
                                     std::string body, Webhooks::OnReply done)>;

class EventFeed {
 public:
  enum class State : uint8_t { Empty, Gathering, Sending, Retrying, Halted };

  struct Parts {
    uv::Loop& loop;
    EventStore& store;
    log::Log& log;
    metrics::Page& metrics;
    const SendBatch& send;
    std::function<void()> on_change;  // A batch was delivered or dropped.
  };

  EventFeed(std::shared_ptr<const config::Webhook> config, const Parts& parts);

  void configure(const std::shared_ptr<const config::Webhook>& config) { config_ = config; }
  bool post(std::string_view json);  // False: full, or no memory.
  void adopt(record::Ref event);     // Already in the store, left by another worker.
  void hurry();                      // From now on without batch_delay.
  void halt();                       // Nothing is sent any more, and no reply means anything.

  State state() const { return state_; }
  size_t size() const { return events_.size(); }

 private:
  void set_state(State state) { state_ = state; }
  void gather();
  void send();
  void on_reply(const Reply& reply);
  void retry(int64_t retry_after_ms);
  void finish_batch(bool delivered);
  void mark_batch();
  std::string body_of_batch() const;
  int64_t backoff_ms() const;

  std::shared_ptr<const config::Webhook> config_;
  Parts parts_;
  uv::Timer timer_;
  State state_ = State::Empty;
  std::deque<record::Ref> events_;  // Oldest first; the first batch_events_ of them are on their way.
  uint64_t batch_ = 0;              // 0: no batch is formed.
  size_t batch_events_ = 0;
  uint32_t attempts_ = 0;
  bool hurried_ = false;
};

}  // namespace beamgate::hook
