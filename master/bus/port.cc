#include "master/bus/port.h"

#include "common/base/assert.h"

namespace beamgate::master {

bool Port::deliver(std::string_view channel, ipc::Place place, std::string_view body, size_t queue_bytes) {
  if (broken_) return false;
  // An empty queue takes any publication, or one above queue_bytes could never be delivered.
  const size_t queued = channel_.queued_bytes();
  const bool fits = queued == 0 || queued + body.size() <= queue_bytes;
  if (!fits) {
    miss(channel, place);
    return false;
  }
  tell_gap_of(channel);
  channel_.send_body(ipc::Kind::Deliver, body);
  return true;
}

void Port::miss(std::string_view channel, ipc::Place place) {
  ++dropped_;
  const auto found = missed_.find(channel);
  if (found != missed_.end()) {
    found->second = place;
  } else {
    missed_.emplace(std::string(channel), place);
  }
}

void Port::forget_missed(std::string_view channel) {
  if (missed_.empty()) return;
  const auto found = missed_.find(channel);
  if (found != missed_.end()) missed_.erase(found);
}

void Port::write() {
  if (!broken_ && !channel_.flush().ok()) broken_ = true;
}

void Port::tell_gap_of(std::string_view channel) {
  if (missed_.empty()) return;
  const auto found = missed_.find(channel);
  if (found == missed_.end()) return;
  send_gap(channel, found->second);
  missed_.erase(found);
}

void Port::send_gap(std::string_view channel, ipc::Place place) {
  send(ipc::Gap{.offset = place.offset, .presence = place.presence, .channel = channel});
}

void Port::tell_gaps(size_t queue_bytes) {
  while (!missed_.empty() && has_room(queue_bytes)) {
    const auto next = missed_.begin();
    send_gap(next->first, next->second);
    missed_.erase(next);
  }
}

void Port::flush(size_t queue_bytes) {
  write();
  // Half empty, so that a worker at its limit doesn't get Gap and Deliver by turns.
  if (broken_ || missed_.empty() || !has_room(queue_bytes / 2)) return;
  tell_gaps(queue_bytes);
  write();
}

}  // namespace beamgate::master
