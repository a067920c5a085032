#include "common/ipc/frame_writer.h"

#include <algorithm>
#include <iterator>

#include "common/base/assert.h"

namespace beamgate::ipc {
namespace {

// An emptied batch keeps this much memory; what a burst needed beyond it goes back.
constexpr size_t kKeepStreamBytes = 4 << 20;

}  // namespace

size_t FrameWriter::begin_frame() {
  const size_t start = stream_.size();
  stream_.append(kFrameHeaderBytes, '\0');
  return start;
}

bool FrameWriter::end_frame(size_t start, Kind kind) {
  const size_t body_bytes = stream_.size() - start - kFrameHeaderBytes;
  if (body_bytes > kFrameBytesMax) {
    stream_.resize(start);
    return false;
  }
  store_le(&stream_[start], static_cast<uint32_t>(body_bytes));
  store_le(&stream_[start + 4], static_cast<uint16_t>(kind));
  place(start);
  return true;
}

bool FrameWriter::append_body(Kind kind, std::string_view body) {
  if (body.size() > kFrameBytesMax) return false;
  const size_t start = begin_frame();
  stream_.append(body);
  return end_frame(start, kind);
}

size_t FrameWriter::last_start() const {
  return packets_.size() - 1 == first_ ? sent_ : packets_[packets_.size() - 2].end;
}

// Puts the frame that ends the stream into the open packet, or into as many new ones as it needs.
void FrameWriter::place(size_t start) {
  const size_t end = stream_.size();
  bool continues = false;
  if (!empty() && !packets_.back().sealed) {
    Mark& open = packets_.back();
    if (end - last_start() <= kPacketPayloadMax) {
      open.end = end;
      return;
    }
    if (open.end == last_start()) {  // Holds descriptors only: they travel with the frame's first part.
      open.end = start + kPacketPayloadMax;
      start = open.end;
      continues = true;
    }
  }
  while (start < end) {
    start = std::min(end, start + kPacketPayloadMax);
    packets_.push_back({start, continues, false, {}});
    continues = true;
  }
}

// Begins a packet that holds the descriptors; the next frame joins it.
void FrameWriter::attach(Descriptors descriptors) {
  BG_ASSERT(descriptors.size() <= kFrameDescriptorsMax);
  if (!empty()) packets_.back().sealed = true;
  auto next = descriptors.begin();
  do {
    const auto count = std::min<ptrdiff_t>(descriptors.end() - next, kPacketDescriptorsMax);
    const bool last = next + count == descriptors.end();
    packets_.push_back({stream_.size(), false, !last, {}});
    std::move(next, next + count, std::back_inserter(packets_.back().descriptors));
    next += count;
  } while (next != descriptors.end());
}

FrameWriter::Packet FrameWriter::front() const {
  BG_ASSERT(!empty());
  const Mark& mark = packets_[first_];
  uint8_t flags = mark.continues ? kPacketContinues : 0;
  if (anew_) flags |= kPacketAnew;
  const PacketHeader header{kPacketMagic, kBusVersion, flags, static_cast<uint8_t>(mark.descriptors.size()), position()};
  return {header, std::string_view(stream_).substr(sent_, mark.end - sent_), &mark.descriptors};
}

void FrameWriter::pop() {
  BG_ASSERT(!empty());
  sent_ = packets_[first_].end;
  packets_[first_].descriptors.clear();
  anew_ = false;
  ++first_;
  compact();
}

// Forgets what was sent; moves the rest only when that is the smaller part, so that the cost per byte stays
// constant however long the queue is.
void FrameWriter::compact() {
  if (empty()) {
    packets_.clear();
    stream_.clear();
    if (stream_.capacity() > kKeepStreamBytes) std::string().swap(stream_);
  } else if (sent_ > kKeepStreamBytes && sent_ > stream_.size() / 2) {
    packets_.erase(packets_.begin(), packets_.begin() + static_cast<ptrdiff_t>(first_));
    stream_.erase(0, sent_);
    for (Mark& mark : packets_) mark.end -= sent_;
  } else {
    return;
  }
  base_ += sent_;
  first_ = 0;
  sent_ = 0;
}

}  // namespace beamgate::ipc
