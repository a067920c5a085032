// Sender: replies, pushes and disconnects on their way to one client.
//
// Owner      Centrifuge.
// Thread     Worker loop thread only.
// Errors     What can't be sent has had the slow-reader policy applied; there is nothing else to do about it.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/proto/centrifuge/replies.h"
#include "worker/record/record.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto::centrifuge {

class Sender {
 public:
  explicit Sender(ws::WebSockets& websockets) : websockets_(websockets) {}

  void reply(record::Record& record, uint64_t id, Method method, std::string_view result) {
    send(record, make_reply(id, method, result));
  }
  void error(record::Record& record, uint64_t id, ErrorCode code, std::string_view message = {}) {
    send(record, make_error(id, code, message));
  }
  void send(record::Record& record, std::string_view text) { websockets_.send(record, ws::Opcode::Text, text); }
  // why: what it is counted as.
  void close(record::Record& record, metrics::Metric why, const Ending& ending) {
    websockets_.close(record, why, ending.code, ending.reason);
  }

 private:
  ws::WebSockets& websockets_;
};

}  // namespace beamgate::proto::centrifuge
