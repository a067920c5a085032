// Bus packets: a hostile stream of packets is refused or read; frames that were written come out as they went in, however
// they had to be cut, and once, also when packets come again as a successor sends them.
// Input: a byte of mode.  0: packets, each behind its u16 size.  Else: frames, each u16 kind, u8 size, u8 repetitions of
// its bytes in KiB; every mode-th packet comes twice.
#include <vector>

#include "common/base/assert.h"
#include "common/ipc/frame_reader.h"
#include "common/ipc/frame_writer.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace beamgate::fuzz {
namespace {

struct Written {
  ipc::Kind kind;
  std::string body;
};

constexpr size_t kFramesMax = 8;

// False: the stream was refused.
template <typename Take>
bool read_packet(ipc::FrameReader& reader, std::string_view packet, Take take) {
  if (!reader.begin(packet, {}).ok()) return false;
  for (ipc::Frame frame;;) {
    const auto next = reader.next(frame);
    if (!next.ok()) return false;
    if (!next.value()) return true;
    take(frame);
  }
}

void read_hostile(Input input) {
  ipc::FrameReader reader;
  while (!input.empty()) {
    const size_t low = input.byte();
    const size_t size = low | static_cast<size_t>(input.byte()) << 8;
    const std::string packet(input.bytes(size));  // Of its own, so that a byte too far is seen.
    const uint64_t before = reader.position();
    const bool good = read_packet(reader, packet, [](const ipc::Frame& frame) {
      BG_ASSERT(frame.body.size() <= ipc::kFrameBytesMax && frame.descriptors != nullptr);
    });
    if (!good) return;
    BG_ASSERT(reader.position() >= before);
  }
}

void read_what_was_written(Input input, size_t again) {
  std::vector<Written> frames;
  ipc::FrameWriter writer;
  while (!input.empty() && frames.size() < kFramesMax) {
    const auto kind = static_cast<ipc::Kind>(input.byte() | input.byte() << 8);
    const std::string_view seed = input.bytes(input.byte());
    std::string body(seed);
    for (size_t left = size_t{input.byte()} << 10; !seed.empty() && left > body.size();) body += seed;
    BG_ASSERT(writer.append_body(kind, body));
    frames.push_back({kind, std::move(body)});
  }
  ipc::FrameReader reader;
  size_t packets = 0, read = 0;
  const auto take = [&](const ipc::Frame& frame) {
    BG_ASSERT(read < frames.size() && frame.kind == frames[read].kind && frame.body == frames[read].body);
    ++read;
  };
  for (; !writer.empty(); writer.pop()) {
    const ipc::FrameWriter::Packet front = writer.front();
    std::string packet(sizeof front.header, '\0');
    store_le(packet.data(), front.header);
    packet += front.payload;
    BG_ASSERT(packet.size() <= ipc::kPacketBytesMax);
    BG_ASSERT(read_packet(reader, packet, take));
    if (++packets % again == 0) BG_ASSERT(read_packet(reader, packet, take));
  }
  BG_ASSERT(read == frames.size() && reader.between_frames());
}

}  // namespace

FUZZ_TARGET(bus_packets) {
  Input input(bytes);
  const uint8_t mode = input.byte();
  if (mode == 0) return read_hostile(input);
  read_what_was_written(input, mode);
}

}  // namespace beamgate::fuzz
