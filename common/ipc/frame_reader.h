// FrameReader: turns received packets into frames.
//
// Owner      A Channel, by value.
// Lifetime   begin() borrows the packet until next() has returned false; a Frame is valid until the following
//            next().
// Limits     A frame's body is at most kFrameBytesMax.  Memory is taken as bytes arrive, never because a
//            length says so.
// Errors     Invalid for whatever is not as packet.h describes; the peer can't be trusted any more then, and
//            the reader must not be used again.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/ipc/packet.h"
#include "common/ipc/wire.h"

namespace beamgate::ipc {

class FrameReader {
 public:
  // REQUIRES: next() returned false for the packet before.
  Result<void> begin(std::string_view packet, Descriptors descriptors);

  // False: the packet is used up.
  Result<bool> next(Frame& frame);

  // Of the first byte that has not been received.
  uint64_t position() const { return position_; }
  void set_position(uint64_t position) { position_ = position; }  // REQUIRES: nothing was received yet.
  // The position is what the next packet says that doesn't continue a frame; those before it are skipped.
  void begin_anywhere() { anywhere_ = true; }
  // Nothing was begun that a packet to come would end.
  bool between_frames() const { return partial_bytes_ == 0 && (descriptors_.empty() || descriptors_lent_); }

 private:
  void hand_out(std::string_view whole, Frame& frame);
  bool join();

  std::string_view rest_;       // Of the current packet.
  uint64_t position_ = 0;
  std::string partial_;         // A frame that is cut over packets, header included.
  size_t partial_bytes_ = 0;    // What it will have; 0 when there is none.
  bool anywhere_ = false;
  Descriptors descriptors_;     // Waiting for their frame, or lent with the one handed out.
  bool descriptors_lent_ = false;
};

}  // namespace beamgate::ipc
