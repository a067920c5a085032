#include "worker/proto/centrifuge/centrifuge_encoder.h"

#include "worker/proto/centrifuge/shapes.h"

namespace beamgate::proto::centrifuge {

void CentrifugeEncoder::encode(const hub::Publication& publication, std::vector<Encoded>& out) {
  std::string object;
  if (publication.channel.starts_with(hub::kUserChannelPrefix)) {
    append_publication(object, publication.kind, publication.payload, {}, 0);
    return out.push_back({.bytes = make_push({}, "message", object)});
  }
  append_publication(object, publication.kind, publication.payload, publication.origin, publication.offset,
                     publication.source);
  out.push_back({.bytes = make_push(publication.channel, "pub", object)});
}

void CentrifugeEncoder::encode(const ipc::PresenceChange& change, std::vector<Encoded>& out) {
  if (change.channel.starts_with(hub::kUserChannelPrefix) || change.whole) return;  // Clients ask for the list.
  Encoded frame;
  for (const ipc::MemberChange& one : change.changes) {
    if (one.event == ipc::MemberEvent::Updated) continue;
    std::string object = "{\"info\":";
    append_client(object, one.member);
    object += '}';
    if (!frame.bytes.empty()) frame.bytes += '\n';
    frame.bytes += make_push(change.channel, one.event == ipc::MemberEvent::Entered ? "join" : "leave", object);
  }
  if (!frame.bytes.empty()) out.push_back(std::move(frame));
}

void CentrifugeEncoder::on_gap(record::Record& record, std::string_view channel, uint64_t) {
  const std::string name(channel);
  if (channel.starts_with(hub::kUserChannelPrefix) || !hub_.unsubscribe(record, name)) return;
  sender_.send(record, make_unsubscribe(name, kUnsubscribedInsufficientState));
}

}  // namespace beamgate::proto::centrifuge
