#include "worker/move/decisions.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "worker/net/connections.h"

namespace beamgate::move {
namespace {

uint64_t word_of(uint32_t batch, Decisions::Fate fate) { return uint64_t{batch} << 8 | static_cast<uint64_t>(fate); }

}  // namespace

Result<Decisions> Decisions::map(UniqueFd memfd) {
  // Both ends do this; the size is the same.
  if (ftruncate(memfd.get(), kBytes) != 0) return system_error("can't size the page of decisions");
  void* places = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd.get(), 0);
  if (places == MAP_FAILED) return system_error("can't map the page of decisions");
  return Decisions(std::move(memfd), static_cast<Place*>(places));
}

Decisions::Decisions(Decisions&& other) noexcept
    : memfd_(std::move(other.memfd_)), places_(std::exchange(other.places_, nullptr)) {}

Decisions::~Decisions() {
  if (places_ != nullptr) munmap(places_, kBytes);
}

void Decisions::open(uint32_t batch) {
  Place& place = place_of(batch);
  place.connections.store(0);
  place.word.store(word_of(batch, Fate::Undecided));
}

bool Decisions::commit(uint32_t batch, uint64_t connections) {
  Place& place = place_of(batch);
  place.connections.store(connections);
  uint64_t expected = word_of(batch, Fate::Undecided);
  return place.word.compare_exchange_strong(expected, word_of(batch, Fate::Committed));
}

Decisions::Fate Decisions::give_back(uint32_t batch) {
  uint64_t word = word_of(batch, Fate::Undecided);
  place_of(batch).word.compare_exchange_strong(word, word_of(batch, Fate::Returned));
  return word == word_of(batch, Fate::Committed) ? Fate::Committed : Fate::Returned;
}

uint64_t Decisions::connections(uint32_t batch) const { return place_of(batch).connections.load(); }

bool is_ours(uint32_t page, uint32_t place) {
  const bool arriving = (place & net::kPlaceArriving) != 0;
  const uint32_t batch = (place & ~net::kPlaceArriving) >> net::kPlaceIndexBits;
  const uint64_t bit = uint64_t{1} << (place & ((1u << net::kPlaceIndexBits) - 1));
  auto decisions = Decisions::map(UniqueFd(fcntl(static_cast<int>(page) - 1, F_DUPFD_CLOEXEC, 3)));
  if (!decisions.ok()) return !arriving;
  const bool moved = decisions.value().give_back(batch) == Decisions::Fate::Committed &&
                     (decisions.value().connections(batch) & bit) != 0;
  return moved == arriving;
}

}  // namespace beamgate::move
