#include "common/ipc/frame_reader.h"

#include <algorithm>
#include <iterator>

namespace beamgate::ipc {
namespace {

constexpr size_t kKeepCutBytes = 1 << 20;  // Of the memory for cut frames.

bool valid(const PacketHeader& header, bool repeats, bool frame_is_cut, size_t descriptors) {
  if (header.magic != kPacketMagic || header.version != kBusVersion) return false;
  if ((header.flags & ~(kPacketContinues | kPacketAnew)) != 0) return false;
  if (repeats) return descriptors == 0 && header.descriptors == 0;
  if (((header.flags & kPacketContinues) != 0) != frame_is_cut) return false;
  return header.descriptors == descriptors && !(frame_is_cut && descriptors > 0);
}

// The size of the whole frame, or 0 when its header is wrong.
size_t frame_bytes(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes) return 0;
  const auto body_bytes = load_le<uint32_t>(bytes.data());
  if (body_bytes > kFrameBytesMax || load_le<uint16_t>(bytes.data() + 6) != 0) return 0;
  return kFrameHeaderBytes + body_bytes;
}

}  // namespace

Result<void> FrameReader::begin(std::string_view packet, Descriptors descriptors) {
  if (packet.size() < sizeof(PacketHeader)) return Error{Code::Invalid, 0, "bus packet too short"};
  const auto header = load_le<PacketHeader>(packet.data());
  if (anywhere_) {
    const bool continues = (header.flags & kPacketContinues) != 0;
    position_ = header.position + (continues ? packet.size() - sizeof header : 0);
    anywhere_ = continues;
  }
  if ((header.flags & kPacketAnew) != 0 && header.position > position_) {
    position_ = header.position;
    partial_bytes_ = 0;
    descriptors_.clear();
  }
  const bool repeats = header.position < position_;
  if (!valid(header, repeats, partial_bytes_ != 0, descriptors.size()) || header.position > position_) {
    return Error{Code::Invalid, 0, "bad bus packet header"};
  }
  rest_ = packet.substr(sizeof header);
  if (repeats) {
    rest_.remove_prefix(static_cast<size_t>(std::min<uint64_t>(position_ - header.position, rest_.size())));
    position_ += rest_.size();
    return {};
  }
  position_ += rest_.size();
  if (rest_.empty() && descriptors.empty()) return Error{Code::Invalid, 0, "empty bus packet"};
  if (descriptors_.size() + descriptors.size() > kFrameDescriptorsMax) {
    return Error{Code::Invalid, 0, "too many descriptors on the bus"};
  }
  std::move(descriptors.begin(), descriptors.end(), std::back_inserter(descriptors_));
  return {};
}

void FrameReader::hand_out(std::string_view whole, Frame& frame) {
  frame.kind = load_le<Kind>(whole.data() + 4);
  frame.body = whole.substr(kFrameHeaderBytes);
  frame.descriptors = &descriptors_;
  descriptors_lent_ = true;
}

// Adds to the cut frame; true when it is complete.
bool FrameReader::join() {
  const size_t take = std::min(rest_.size(), partial_bytes_ - partial_.size());
  partial_.append(rest_.substr(0, take));
  rest_.remove_prefix(take);
  return partial_.size() == partial_bytes_;
}

Result<bool> FrameReader::next(Frame& frame) {
  if (descriptors_lent_) {
    descriptors_.clear();
    descriptors_lent_ = false;
    if (partial_bytes_ == 0 && partial_.capacity() > kKeepCutBytes) std::string().swap(partial_);
  }
  if (partial_bytes_ != 0) {
    if (!join()) return false;
    partial_bytes_ = 0;
    hand_out(partial_, frame);
    return true;
  }
  if (rest_.empty()) return false;
  const size_t bytes = frame_bytes(rest_);
  if (bytes == 0) return Error{Code::Invalid, 0, "bad bus frame header"};
  if (bytes <= rest_.size()) {
    hand_out(rest_.substr(0, bytes), frame);
    rest_.remove_prefix(bytes);
    return true;
  }
  partial_.assign(rest_);
  partial_bytes_ = bytes;
  rest_ = {};
  return false;
}

}  // namespace beamgate::ipc
