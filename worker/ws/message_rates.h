// Message rates: how fast the messages of one connection, one user and one address may come (websocket_rate).
//
// Owner      WebSockets; users and addresses are counted for all workers together (ipc::RateTable).
// Thread     Worker loop thread only.
// Limits     kKeyBytes of the node's table; when more keys are counted at once, the one that came longest ago goes.
// Policy     delay: the connection is not read until it may go on, so that TCP slows its client down; drop: the message is
//            forgotten, which its protocol tells (Application::on_too_fast); close: the connection is closed as too fast.
#pragma once

#include <cstdint>
#include <map>

#include "common/base/keyed_hash.h"
#include "common/config/model.h"
#include "common/uv/timer.h"
#include "worker/context.h"
#include "worker/record/record.h"

namespace beamgate::ws {

class MessageRates {
 public:
  static constexpr uint64_t kKeyBytes = 32 << 20;

  enum class Verdict : uint8_t { Pass, Drop, Close };

  explicit MessageRates(Context& context);

  // Counts one message; the connection may be paused (kPauseLayer) afterwards.
  Verdict take(record::Record& record, const config::WebSocketAction& action);

 private:
  uint64_t key_of(const record::Record& record, config::MessageRate::Of of);
  void pause(record::Record& record, int64_t delay_ms);
  void resume_due();

  Context& context_;
  KeyedHash hash_;
  std::multimap<int64_t, record::ConnId> paused_;  // By the monotonic time to go on.
  uv::Timer timer_;
};

}  // namespace beamgate::ws
