// Decisions: one page that both ends of a move share, where it is written whose a batch is.
//
//   Undecided -- the source commits -----------------------> Committed: the connections of the bitmap have moved
//   Undecided -- either end gives the batch back ----------> Returned: all of it stays with the source
//
// Whoever is first decides, whatever becomes of either process: a batch that is left Undecided by a death is given
// back by the survivor or by the successor.
// Owner      Each end maps it; the memfd comes from the master with MoveOut and MoveIn.
// Limits     kPlaces batches at a time; a place is used again when its batch is long done.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::move {

class Decisions {
 public:
  static constexpr uint32_t kPlaces = 64;

  enum class Fate : uint8_t { Undecided = 0, Committed = 1, Returned = 2 };

  static Result<Decisions> map(UniqueFd memfd);
  Decisions(Decisions&& other) noexcept;
  Decisions& operator=(Decisions&&) = delete;
  ~Decisions();

  void open(uint32_t batch);  // By the source, before the batch is offered.
  // False: it had been given back.
  [[nodiscard]] bool commit(uint32_t batch, uint64_t connections);
  Fate give_back(uint32_t batch);  // What it is now: Returned or Committed.
  uint64_t connections(uint32_t batch) const;  // The bitmap of a committed one.

  int descriptor() const { return memfd_.get(); }

 private:
  struct Place {
    std::atomic<uint64_t> word = 0;  // batch << 8 | Fate
    std::atomic<uint64_t> connections = 0;
  };
  static_assert(std::atomic<uint64_t>::is_always_lock_free);
  static constexpr size_t kBytes = kPlaces * sizeof(Place);

  Decisions(UniqueFd memfd, Place* places) : memfd_(std::move(memfd)), places_(places) {}
  Place& place_of(uint32_t batch) const { return places_[batch % kPlaces]; }

  UniqueFd memfd_;
  Place* places_;
};

// For a successor that finds a frozen record: its place in the page decides whether the connection is still (or
// now) this worker's.  An undecided batch is given back.  page and place: Record::move_page and move_place.
bool is_ours(uint32_t page, uint32_t place);

}  // namespace beamgate::move
