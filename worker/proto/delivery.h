// Delivery: brings what happens in a channel to its subscribers, encoded once per protocol and compression.
//
// Owner      One per worker; the hub's Deliverer.
// Slow       Those whose queue is half full are left out where the channel's rules say so (slow_reader skip).
// Cost       Per subscriber: one queue entry that shares the frame; the bytes leave gathered at the end of
//            the loop turn.
#pragma once

#include <array>
#include <utility>

#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/encoder.h"
#include "worker/proto/receipts.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class Delivery final : public hub::Deliverer {
 public:
  Delivery(uv::Loop& loop, net::Connections& connections, metrics::Page& metrics, log::Log& log, Receipts::Answer answer)
      : connections_(connections), metrics_(metrics), log_(log), receipts_(loop, std::move(answer)) {}
  void set_websockets(ws::WebSockets& websockets);
  void set_encoder(record::Protocol protocol, Encoder& encoder) { encoders_[static_cast<size_t>(protocol)] = &encoder; }

  void deliver(const hub::Publication& publication, std::span<const uint32_t> slots) override;
  void deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) override;
  void deliver_presence(const ipc::PresenceChange& change, std::span<const uint32_t> slots) override;
  void joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;
  void begin_receipt(uint64_t call, uint32_t acknowledge_ms) override { receipts_.begin(call, acknowledge_ms); }
  void end_receipt() override { receipts_.end(); }

 private:
  class Shared;

  Encoder* encoder_of(const record::Record& record) const { return encoders_[static_cast<size_t>(record.protocol)]; }
  template <typename Event>
  void send_all(const Event& event, std::span<const uint32_t> slots);
  void send_each(record::Record& record, Encoder& encoder, std::span<Shared> messages);
  bool send(record::Record& record, Encoder& encoder, Shared& message, std::string_view ping);
  record::Ref frame_for(const record::Record& record, Shared& message, std::string_view ping);
  bool is_slow(const record::Record& record) const;
  void skip(record::Record& record, Encoder& encoder, const hub::Publication& publication);

  net::Connections& connections_;
  metrics::Page& metrics_;
  log::Log& log_;
  Receipts receipts_;
  ws::WebSockets* websockets_ = nullptr;
  std::array<Encoder*, static_cast<size_t>(record::kLastProtocol) + 1> encoders_{};
};

}  // namespace beamgate::proto
