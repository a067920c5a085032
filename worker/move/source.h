// Source: the end of a move that gives connections away.
//
//   Batch: Subscribing -- SUBSCRIBED ----------------------------> Covered
//          Covered     -- we have heard what it hears, OFFER ----> Offered   (its connections are frozen)
//          Offered     -- PREPARED, and what they published
//                         here is with the master, decided ------> Committed (they are closed here, or thaw)
//          Committed   -- DONE ----------------------------------> gone
//
// Owner      Moves.
// Thread     Worker loop thread only; it stops nobody: batches are small, and two at a time.
// Limits     kBatchesMax un-acknowledged, kBatchConnectionsMax connections and about kBatchBytes in each.
//            kAnswerMs for an answer about frozen connections, kChannelsMs until channels are heard.
// Errors     When the other end goes or is wrong, undecided connections go on here and the move ends.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/ipc/messages.h"
#include "worker/context.h"
#include "worker/move/decisions.h"
#include "worker/move/link.h"
#include "worker/move/porter.h"
#include "worker/record/record.h"

namespace beamgate::move {

class Source {
 public:
  static constexpr size_t kBatchesMax = 2;
  static constexpr size_t kBatchBytes = 8 << 20;
  static constexpr size_t kOutboundBytesMax = size_t{256} << 20;  // More than that is sent here first.
  static constexpr size_t kInlineBytesMax = 120 << 10;
  static constexpr size_t kChannelsMax = 4096;  // Of a batch; one connection may have more than are left.
  static constexpr int64_t kAnswerMs = 10'000;
  static constexpr int64_t kChannelsMs = 60'000;
  static constexpr int64_t kHandshakesMs = 10'000;  // For TLS handshakes that are under way.
  static constexpr int64_t kRefusedMs = 500;  // Until those that were refused are offered again.

  using OnMoved = std::function<void(const ipc::Moved&)>;

  Source(Context& context, const ipc::MoveOut& order, UniqueFd socket, Decisions&& decisions, OnMoved on_moved);
  ~Source();  // Undecided connections stay.

  void end_turn();  // What can go on goes on; before the loop waits.
  void tick();      // Now and then: looks again at those that could not move.
  bool finished() const { return finished_; }

 private:
  struct Batch {
    enum class State : uint8_t { Subscribing, Covered, Offered, Committed };
    uint32_t number = 0;
    State state = State::Subscribing;
    std::vector<record::ConnId> connections;
    std::vector<std::string> channels;
    std::vector<uint64_t> offsets;   // Where the destination hears them from.
    std::vector<uint64_t> presence;
    int64_t since_ms = 0;  // Made, or offered.
    bool asked = false;    // The master, for its answer to Method::Nothing.
    bool settled = false;  // It has come: their publications are in their places before any from over there.
    std::optional<uint64_t> accepted;  // By the destination.
  };

  void on_ready();
  bool on_packet(Kind kind, std::string_view body);
  bool on_hello(const Hello& message);
  bool on_subscribed(const Subscribed& message);
  bool on_prepared(const Prepared& message);
  bool on_done(uint32_t number);
  void on_settled(uint32_t number);

  bool empties() const { return order_.scope == ipc::MoveScope::All; }
  Batch* find(uint32_t number);
  size_t wanted() const;
  bool gather();
  void subscribe(const Batch& batch);
  bool covered(const Batch& batch) const;
  void offer(Batch& batch);
  std::string freeze(Batch& batch, std::vector<int>& descriptors);
  void ask_master(Batch& batch);
  bool decide(Batch& batch);
  void thaw(const Batch& batch);
  void give_away(const Batch& batch, uint64_t moved);
  record::Record* frozen(const Batch& batch, size_t index);
  void finish_if_done();
  void end(bool ok, const char* reason);
  void abandon();

  Context& context_;
  const ipc::MoveOut order_;
  Decisions decisions_;
  OnMoved on_moved_;
  Porter porter_;
  Link link_;
  std::optional<Hello> peer_;  // Once it has spoken.
  const int64_t began_ms_;
  std::vector<Batch> batches_;
  uint32_t next_batch_ = 1;
  uint32_t cursor_ = 0;        // Slot of the next record to look at.
  uint32_t room_ = 0;          // At the destination.
  uint32_t moved_ = 0;
  int64_t next_pass_ms_ = 0;   // Monotonic; not before.
  bool refused_ = false;       // Some of this pass.
  bool finished_ = false;
  const std::shared_ptr<Source*> self_ = std::make_shared<Source*>(this);  // For calls that may outlive it.
};

}  // namespace beamgate::move
