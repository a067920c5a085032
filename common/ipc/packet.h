// Packet: what one message of the bus's SOCK_SEQPACKET socket looks like.
//
// Format   PacketHeader, then frames back to back.  A frame is u32 body length, u16 kind, u16 zero, body;
//          all little endian.  A frame that is larger than a packet is cut: it begins its own packet and goes
//          on in the following ones, which say so with kPacketContinues; behind its end other frames may
//          follow.  The header of a frame is never cut.
//          Descriptors (SCM_RIGHTS) belong to the first frame that begins at or after their packet.  More than
//          kPacketDescriptorsMax of them come in packets of their own, without frames, before that one.
// Position Tells what was received before: a sender that was killed between sending and knowing it leaves a
//          successor who sends the same bytes again, maybe cut otherwise; the receiver drops what it has.
// Anew     A master that takes a dead one's place begins a stream of its own at a higher position than the dead one
//          can have reached (kPacketAnew), and reads the worker's from the first packet on that is no continuation;
//          what continues a frame holds nothing else in that direction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/ipc/messages.h"

namespace beamgate::ipc {

struct PacketHeader {
  uint32_t magic = 0;
  uint16_t version = 0;
  uint8_t flags = 0;
  uint8_t descriptors = 0;  // How many travel with this packet.
  uint64_t position = 0;    // Of its first frame byte in the stream of all frame bytes, from the beginning.
};
static_assert(sizeof(PacketHeader) == 16);

constexpr uint32_t kPacketMagic = 0x53424742;  // "BGBS"
constexpr uint8_t kPacketContinues = 1;        // Begins in the middle of a frame.
constexpr uint8_t kPacketAnew = 2;             // Another sender: a frame that was cut has no end.
constexpr size_t kPacketBytesMax = 128 << 10;  // Header included; fits the send buffer in one piece.
constexpr size_t kPacketPayloadMax = kPacketBytesMax - sizeof(PacketHeader);
constexpr size_t kFrameHeaderBytes = 8;
constexpr size_t kPacketDescriptorsMax = 200;  // The kernel refuses more than 253 (SCM_MAX_FD).
constexpr size_t kFrameDescriptorsMax = 1024;  // Of one frame, over all its packets.

using Descriptors = std::vector<UniqueFd>;

// One frame as it was received.  body and descriptors are valid until the next one is read; descriptors that
// nobody moves out are closed then.
struct Frame {
  Kind kind{};
  std::string_view body;
  Descriptors* descriptors = nullptr;
};

}  // namespace beamgate::ipc
