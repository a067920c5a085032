#include "worker/proto/echo.h"

#include "common/fault/fault.h"

namespace beamgate::proto {

void Echo::on_handshake(http::Exchange& exchange) { websockets_.accept(exchange); }

void Echo::on_open(record::Record&) {}

void Echo::on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) {
  fault::obey({payload.data(), payload.size()});
  websockets_.send(record, opcode, {payload.data(), payload.size()});
}

void Echo::on_gone(record::Record&, const ws::Ending&) {}

}  // namespace beamgate::proto
