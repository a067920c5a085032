// Moves: the moves of connections that this worker takes part in, at either end.
//
// Owner      Worker.
// Thread     Worker loop thread only.
// Errors     An order that can't be begun is reported as a move that has ended.
#pragma once

#include <memory>
#include <vector>

#include "common/ipc/messages.h"
#include "common/ipc/packet.h"
#include "worker/move/destination.h"
#include "worker/move/source.h"

namespace beamgate::move {

class Moves {
 public:
  Moves(Context& context, Source::OnMoved on_moved) : context_(context), on_moved_(std::move(on_moved)) {}

  // descriptors: the socket, then the page of decisions.
  void out(const ipc::MoveOut& message, ipc::Descriptors& descriptors);
  void in(ipc::Descriptors& descriptors);

  void end_turn();  // Before the loop waits.
  void tick();
  void stop();      // What is undecided stays where it is.

 private:
  Context& context_;
  Source::OnMoved on_moved_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Destination>> destinations_;
};

}  // namespace beamgate::move
