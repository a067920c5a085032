// Destination: the end of a move that takes connections in.
//
//   Batch: Subscribing -- all channels confirmed, SUBSCRIBED -----> Subscribed
//          Subscribed  -- OFFER, PREPARED ------------------------> Prepared (records are frozen, nothing is served)
//          Prepared    -- COMMIT --------------------------------> Served
//          Served      -- the master has their members, DONE ----> gone
//
// The giver goes on DONE: a master that saw its worker end before it heard of the members here would tell everybody that
// they left and came.
//
// Owner      Moves.
// Thread     Worker loop thread only.
// Limits     kBatchesMax at a time, kChannelsMax channels in each; kDecisionMs for a decision.
// Errors     When the other end goes or is wrong, the page of decisions tells which connections are ours.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/context.h"
#include "worker/move/decisions.h"
#include "worker/move/link.h"
#include "worker/move/porter.h"
#include "worker/record/record.h"

namespace beamgate::move {

class Destination {
 public:
  static constexpr size_t kBatchesMax = 2;
  static constexpr size_t kChannelsMax = 8192;
  static constexpr int64_t kDecisionMs = 30'000;
  static constexpr size_t kBlobBytesMax = size_t{1} << 30;

  Destination(Context& context, UniqueFd socket, Decisions&& decisions);
  ~Destination();

  void end_turn();
  void tick();
  bool finished() const { return finished_; }

 private:
  struct Batch {
    enum class State : uint8_t { Subscribing, Subscribed, Prepared, Served };
    uint32_t number = 0;
    State state = State::Subscribing;
    bool named = false;                      // All channels have been named.
    bool asked = false;                      // Served: the master has been.
    std::vector<std::string> channels;       // Held.
    std::vector<record::ConnId> connections; // By index in the batch; those refused are nobody.
    int64_t since_ms = 0;                    // Prepared.
  };

  void on_ready();
  bool on_packet(Kind kind, std::string_view body, Link::Descriptors& descriptors);
  bool on_subscribe(const Subscribe& message);
  bool on_offer(const Offer& message, Link::Descriptors& descriptors);
  bool on_commit(uint32_t number);

  Batch* find(uint32_t number);
  Batch* find_or_open(uint32_t number);
  bool answer_subscribe(Batch& batch);
  bool prepare(Batch& batch, uint32_t promised, std::string_view bytes, Link::Descriptors& descriptors);
  bool settle(Batch& batch);
  void ask_master(Batch& batch);
  void finish(uint32_t number);
  void release_channels(Batch& batch);
  uint32_t room() const;
  void end(const char* reason);

  Context& context_;
  Decisions decisions_;
  Porter porter_;
  Link link_;
  std::vector<Batch> batches_;
  const std::shared_ptr<Destination*> self_ = std::make_shared<Destination*>(this);  // For calls that may outlive it.
  bool greeted_ = false;
  bool finished_ = false;
};

}  // namespace beamgate::move
