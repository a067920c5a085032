// Delivery: brings a publication to its subscribers, encoded once per protocol and compression.
//
// Owner      One per worker; the hub's Deliverer.
// Cost       Per subscriber: one queue entry that shares the frame; the bytes leave gathered at the end of
//            the loop turn.
#pragma once

#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class Delivery final : public hub::Deliverer {
 public:
  Delivery(net::Connections& connections, log::Log& log) : connections_(connections), log_(log) {}
  void set_websockets(ws::WebSockets& websockets) { websockets_ = &websockets; }

  void deliver(const hub::Publication& publication, std::span<const uint32_t> slots) override;
  void deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) override;

 private:
  net::Connections& connections_;
  log::Log& log_;
  ws::WebSockets* websockets_ = nullptr;
};

}  // namespace beamgate::proto
