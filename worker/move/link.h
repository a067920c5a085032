// Link: one end of the socket that a move's messages and descriptors go through.
//
// Owner      Source or Destination.
// Thread     Worker loop thread only.
// Limits     kPacketBytesMax a packet, kDescriptorsMax descriptors with it; kPacketsPerTurn read at a time.
// Errors     Closed when the other end is gone; anything else that breaks it is an error too.  Descriptors that the
//            kernel had to drop are missing from the packet: who reads it counts them.
#pragma once

#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/wire.h"
#include "common/uv/poll_watcher.h"
#include "worker/move/protocol.h"

namespace beamgate::move {

class Link {
 public:
  static constexpr size_t kPacketBytesMax = 128 << 10;
  static constexpr size_t kDescriptorsMax = 65;
  static constexpr int kPacketsPerTurn = 4;

  using Descriptors = std::vector<UniqueFd>;

  Link(uv::Loop& loop, UniqueFd socket, std::function<void()> on_ready);
  bool good() const { return watcher_ != nullptr; }

  // Sent now, or as soon as there is room.  The message fits a packet.
  template <typename Message>
  void send(const Message& message) {
    queue_.push_back(packet_of(message));
    flush();
  }
  // With descriptors, now or not at all.  WouldBlock: there is no room now.
  template <typename Message>
  Result<void> try_send(const Message& message, std::span<const int> descriptors) {
    if (!queue_.empty()) return Error{Code::WouldBlock, 0, "earlier packets wait"};
    return send_packet(packet_of(message), descriptors);
  }
  bool idle() const { return queue_.empty(); }

  // Hands on what has come: on_packet(kind, body, descriptors) -> bool; false is Invalid.
  template <typename OnPacket>
  Result<void> receive(OnPacket&& on_packet) {
    for (int i = 0; i < kPacketsPerTurn; ++i) {
      Descriptors descriptors;
      const auto packet = read_packet(descriptors);
      if (!packet.ok()) return packet.error().code == Code::WouldBlock ? Result<void>() : packet.error();
      std::string_view body = packet.value();
      ipc::Decoder decoder(body.substr(0, sizeof(Kind)));
      Kind kind{};
      decoder(kind);
      if (!decoder.finished()) return Error{Code::Invalid, 0, "a packet without a kind"};
      body.remove_prefix(sizeof(Kind));
      const bool good = on_packet(kind, body, descriptors);
      explicit_bzero(packet_.get(), packet.value().size());  // It has brought secrets.
      if (!good) return Error{Code::Invalid, 0, "a wrong message"};
    }
    return {};
  }

 private:
  template <typename Message>
  static std::string packet_of(const Message& message) {
    std::string out;
    ipc::Encoder encoder(out);
    encoder(Message::kKind);
    Message::visit(encoder, message);
    BG_ASSERT(out.size() <= kPacketBytesMax);
    return out;
  }

  Result<void> send_packet(std::string_view packet, std::span<const int> descriptors);
  Result<std::string_view> read_packet(Descriptors& descriptors);
  void flush();

  UniqueFd socket_;
  std::unique_ptr<uv::PollWatcher> watcher_;
  std::deque<std::string> queue_;
  std::unique_ptr<char[]> packet_;
};

// Decodes one message and hands it on; false for a body that isn't exactly one, or when `handle` says so.
template <typename Message, typename Handle>
bool handle_as(std::string_view body, Handle&& handle) {
  Message message;
  return ipc::decode(body, message) && handle(message);
}

}  // namespace beamgate::move
