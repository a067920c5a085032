#include "master/moves.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/base/assert.h"

namespace beamgate::master {
namespace {

constexpr size_t kDecisionBytes = 4096;
constexpr uint16_t kNobody = UINT16_MAX;    // The workers of a move that has ended,
constexpr uint32_t kEnded = UINT32_MAX;     // and its number.
constexpr int kSendBufferBytes = 1 << 20;  // A batch with its descriptors is one packet.

struct Ends {
  ipc::Descriptors out, in;
};

UniqueFd duplicate(const UniqueFd& descriptor) { return UniqueFd(fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 3)); }

Result<Ends> make_ends() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    return system_error("can't make a socket pair");
  }
  Ends ends;
  for (const int end : pair) {
    // Less than asked for is no failure: batches are then smaller.
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
  }
  ends.out.emplace_back(pair[0]);
  ends.in.emplace_back(pair[1]);
  UniqueFd page(memfd_create("beamgate-decisions", MFD_CLOEXEC));
  if (!page.valid() || ftruncate(page.get(), kDecisionBytes) != 0) return system_error("can't make a page of decisions");
  ends.out.push_back(duplicate(page));
  ends.in.push_back(std::move(page));
  if (!ends.out.back().valid()) return system_error("can't duplicate a descriptor");
  return ends;
}

}  // namespace

void Moves::request(const Move& move, OnEnd on_end) {
  BG_ASSERT(move.from != move.to);
  entries_.push_back({move, std::move(on_end), 0, {}});
  start_what_can();
}

bool Moves::busy(uint16_t slot) const {
  return std::any_of(entries_.begin(), entries_.end(), [slot](const Entry& entry) {
    return entry.number != 0 && (entry.move.from == slot || entry.move.to == slot);
  });
}

void Moves::start_what_can() {
  for (Entry& entry : entries_) {
    if (entry.number == 0 && !busy(entry.move.from) && !busy(entry.move.to)) start(entry);
  }
}

void Moves::start(Entry& entry) {
  entry.number = next_number_++;
  if (next_number_ == kEnded) next_number_ = 1;
  const Move& move = entry.move;
  if (!actions_.can_move(move.from) || !actions_.can_move(move.to)) return end(entry, {.reason = "a worker is not there"});
  auto ends = make_ends();
  if (!ends.ok()) return end(entry, {.reason = ends.error().message()});
  log_.info("move_started", {{"move", entry.number}, {"from", move.from}, {"to", move.to},
                             {"scope", move.scope == ipc::MoveScope::All ? "all" : "some"}, {"count", move.count}});
  actions_.send_move_out(move.from, {entry.number, move.scope, move.count}, std::move(ends.value().out));
  actions_.send_move_in(move.to, {entry.number}, std::move(ends.value().in));
  if (move.limit_ms == 0) return;
  entry.timer = loop_.after(move.limit_ms, [this, &entry] {
    entry.timer.reset();
    end(entry, {.ok = true, .reason = "it takes too long"});
  });
}

void Moves::on_moved(uint16_t slot, const ipc::Moved& moved) {
  for (Entry& entry : entries_) {
    if (entry.number == 0 || entry.number != moved.move || entry.move.from != slot) continue;
    return end(entry, {moved.ok, moved.moved, moved.left, std::string(moved.reason)});
  }
}

void Moves::on_dead(uint16_t slot) {
  for (Entry& entry : entries_) {
    if (entry.move.from == slot) end(entry, {.reason = "the source died"});
    if (entry.move.to == slot) end(entry, {.reason = "the destination died"});
  }
}

// Told in the next turn, when nobody is in the middle of a worker's frames; the first result counts.
void Moves::end(Entry& entry, MoveEnd result) {
  log_.write(result.ok ? log::Level::Info : log::Level::Warn, "move_ended",
             {{"move", entry.number}, {"from", entry.move.from}, {"to", entry.move.to}, {"moved", result.moved},
              {"left", result.left}, {"reason", result.reason}});
  entry.move.from = entry.move.to = kNobody;
  entry.number = kEnded;
  if (entry.timer) loop_.cancel(*entry.timer);
  entry.timer = loop_.after(0, [this, &entry, result = std::move(result)] {
    const OnEnd on_end = std::move(entry.on_end);
    entries_.remove_if([&entry](const Entry& other) { return &other == &entry; });
    on_end(result);
    start_what_can();
  });
}

void Moves::cancel_all() {
  for (Entry& entry : entries_) {
    if (entry.timer) loop_.cancel(*entry.timer);
  }
  entries_.clear();
}

}  // namespace beamgate::master
