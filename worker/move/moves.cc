#include "worker/move/moves.h"

#include "worker/net/connections.h"

namespace beamgate::move {

void Moves::out(const ipc::MoveOut& message, ipc::Descriptors& descriptors) {
  const auto refuse = [&](const char* reason) {
    on_moved_({.move = message.move, .ok = false, .left = context_.connections.active(), .reason = reason});
  };
  if (descriptors.size() != 2) return refuse("the message came without its descriptors");
  auto decisions = Decisions::map(std::move(descriptors[1]));
  if (!decisions.ok()) return refuse(decisions.error().text);
  sources_.push_back(std::make_unique<Source>(context_, message, std::move(descriptors[0]),
                                              std::move(decisions).value(), on_moved_));
}

// When it can't be begun, the socket closes, and the source knows.
void Moves::in(ipc::Descriptors& descriptors) {
  if (descriptors.size() != 2) return;
  auto decisions = Decisions::map(std::move(descriptors[1]));
  if (!decisions.ok()) return;
  destinations_.push_back(
      std::make_unique<Destination>(context_, std::move(descriptors[0]), std::move(decisions).value()));
}

void Moves::end_turn() {
  for (const auto& source : sources_) source->end_turn();
  for (const auto& destination : destinations_) destination->end_turn();
  std::erase_if(sources_, [](const auto& source) { return source->finished(); });
  std::erase_if(destinations_, [](const auto& destination) { return destination->finished(); });
}

void Moves::tick() {
  for (const auto& source : sources_) source->tick();
  for (const auto& destination : destinations_) destination->tick();
}

void Moves::stop() {
  sources_.clear();
  destinations_.clear();
}

}  // namespace beamgate::move
