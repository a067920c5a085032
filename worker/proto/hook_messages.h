// Hook messages: brings a connection's messages to its application, in order, one at a time, and the replies back.
//
//   Idle     -- message ------------------------------------> Calling, unless the dialect deals with it by itself
//   Calling  -- 2xx ----------------------------------------> Acting (MessageDialect::act())
//   Calling  -- 429 or 503 with Retry-After, retries left --> Delayed
//   Calling  -- anything else ------------------------------> as the dialect says: closed, or on with the next
//   Delayed  -- time passed --------------------------------> Calling, the same message under the same webhook-id
//   Acting   -- done ---------------------------------------> Calling the next, or Idle
//   Acting   -- done, and the application has not taken all -> Calling with the rest and what is behind it, or Waiting
//   Waiting  -- another message, or poke() -----------------> Calling with all of them
//
// Owner      One per mode that has an application.
// Thread     Worker loop thread only.
// State      The messages are in the record until they are dealt with; what is here names only what is under
//            way, and a successor would begin it anew under the same id.
// Limits     connection_queue messages behind the one under way; above it the connection is not read
//            (kPauseWebhook) until half of them are left.  kRetriesMax and kRetryWaitMaxMs.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <unordered_map>

#include "common/uv/timer.h"
#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/hook_queue.h"
#include "worker/proto/leftovers.h"
#include "worker/proto/message_dialect.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto {

class HookMessages {
 public:
  static constexpr uint32_t kRetriesMax = 5;
  static constexpr int64_t kRetryWaitMaxMs = 30'000;
  static constexpr int64_t kReplyWaitMs = 5'000;
  static constexpr int64_t kYieldMs = 250;

  HookMessages(Context& context, ConnectionOps& ops, ActionRunner& runner, Subjects& subjects, MessageDialect& dialect);

  void on_message(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint, bool binary,
                  std::string_view bytes);
  // As on_message(), for what is no message: number 0, and nothing while there is something else to tell.
  void poke(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint);
  // Not while a call or the actions of its reply are under way: they can't be done by halves, and the application
  // should hear of a message once.  Having been asked, it waits with the next message so that the connection can
  // go; a reply that takes longer than kReplyWaitMs is not waited for: the message is sent again, under its id.
  bool may_move(const record::Record& record);
  // Calls with the record's first message; again, under the same id, when another worker had called before.
  void begin(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint);
  bool is_under_way(const record::Record& record);  // Its first message is with its application, and not waiting for more.
  // Its new worker makes the call again, so that this one's reply would be a second one.
  void on_given(record::Record& record);
  // The connection is going; messages that were received are still delivered.
  void on_gone(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint);

 private:
  enum class State : uint8_t { Calling, Delayed, Acting, Waiting };
  struct UnderWay {
    record::ConnId id;
    std::shared_ptr<const config::Webhook> endpoint;
    State state = State::Calling;
    uint32_t retries = 0;
    hook::Webhooks::CallId call = 0;  // Calling: which.
    int64_t move_asked_ms = 0;        // Since when it should move; 0: it needn't.
    size_t offered = 1;               // Messages that went with the call,
    uint64_t again = 0;               // bytes of them that had been offered before,
    std::optional<uint64_t> taken;    // and what the application has said of them.
  };

  UnderWay* find(record::ConnId id);
  void call(record::Record& record, UnderWay& under_way);
  void on_reply(record::ConnId id, uint64_t uid, const hook::Reply& reply);
  void take_reply(record::Record& record, UnderWay& under_way, const hook::Reply& reply);
  void act(record::Record& record, UnderWay& under_way, const hook::Reply& reply);
  void delay(UnderWay& under_way, int64_t retry_after_ms);
  void drop_all(record::Record& record);
  void deny(record::Record& record, const MessageDialect::CloseWith& close);
  record::Record* skip_handled(record::ConnId id);
  bool remove_taken(record::Record& record, UnderWay& under_way);
  void wait_for_more(record::Record& record, UnderWay& under_way);
  void next(record::Record& record);
  void wait(UnderWay& under_way, int64_t wait_ms);
  void on_retry_time();
  void schedule_retries();

  Context& context_;
  ConnectionOps& ops_;
  Subjects& subjects_;
  MessageDialect& dialect_;
  HookQueue queue_;
  Leftovers leftovers_;
  std::unordered_map<uint32_t, UnderWay> under_way_;  // By slot.
  std::multimap<int64_t, record::ConnId> delayed_;    // By the monotonic time to go on.
  uv::Timer retry_timer_;
};

}  // namespace beamgate::proto
