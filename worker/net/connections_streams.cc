// The stream part of Connections: what differs where a stream of another connection stands for the socket.
#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/record/uid.h"

namespace beamgate::net {

using metrics::Metric;
using record::ConnId;
using record::Phase;
using record::Record;
using record::Transport;

Record* Connections::adopt_stream(std::unique_ptr<StreamLink> link, const Record& carrier) {
  const uint32_t slot = has_room(carrier.listen_id) ? take_slot() : UINT32_MAX;
  if (slot == UINT32_MAX) {
    metrics_.add(Metric::ConnectionsRefusedFull);
    return nullptr;
  }
  Record& record = arena_.records()[slot];
  record::touch(arena_, record);
  Record fresh;
  fresh.peer_family = carrier.peer_family;
  fresh.peer_port = carrier.peer_port;
  std::copy(std::begin(carrier.peer_address), std::end(carrier.peer_address), fresh.peer_address);
  fresh.saved_in_step = record.saved_in_step;
  fresh.generation = record.generation + 1;
  fresh.phase = carrier.phase;
  fresh.transport = Transport::Stream;
  fresh.uid = record::make_uid(worker_, slot, ++nonce_);
  fresh.accepted_ms = wall_ms();
  fresh.listen_id = carrier.listen_id;
  fresh.location_id = carrier.location_id;
  fresh.last_received_tick = wheel_.now_tick();
  fresh.outbound_limit = carrier.outbound_limit;
  record = fresh;
  record::Extras extras;
  extras.announced = record::extras_of(arena_, carrier).announced;
  static_cast<void>(record::set_extras(arena_, record, extras));  // Without memory, nothing is told of it.
  links_[slot] = std::move(link);
  ++active_;
  metrics_.add(Metric::ConnectionsActive);
  return &record;
}

StreamLink* Connections::link_of(const Record& record) const {
  const auto found = links_.find(slot_of(record));
  return found == links_.end() ? nullptr : found->second.get();
}

void Connections::begin_stream(Record& record) { arm(record, true, record.flags & record::kFlagWantWrite); }

void Connections::stream_changed(ConnId id) { changed_streams_.push_back(id); }

// What epoll does for sockets, level-triggered.
void Connections::serve_streams() {
  for (const ConnId id : std::exchange(changed_streams_, {})) {
    Record* record = find(id);
    if (record == nullptr) continue;
    if (const uint32_t events = stream_events(*record)) on_ready(token_for(id.slot, id.generation), events);
    record = find(id);
    if (record != nullptr && stream_events(*record) != 0) changed_streams_.push_back(id);
  }
}

uint32_t Connections::stream_events(const Record& record) const {
  const StreamLink* link = link_of(record);
  if (link == nullptr) return 0;
  const bool read = record.flags & record::kFlagReadArmed && link->readable();
  const bool write = record.flags & record::kFlagWantWrite && link->writable();
  return (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u) | (link->broken() ? EPOLLHUP : 0u);
}

}  // namespace beamgate::net
