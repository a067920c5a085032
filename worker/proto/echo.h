// Echo: answers each message with itself; for tests and load measurements.
//
// Owner    One per worker; it keeps nothing.
#pragma once

#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class Echo final : public ws::Application {
 public:
  explicit Echo(ws::WebSockets& websockets) : websockets_(websockets) {}

  void on_handshake(http::Exchange& exchange) override;
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;

 private:
  ws::WebSockets& websockets_;
};

}  // namespace beamgate::proto
