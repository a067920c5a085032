#include "worker/proto/pusher/pusher_encoder.h"

#include "worker/hub/hub.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/watchlist.h"

namespace beamgate::pusher {

void PusherEncoder::encode(const hub::Publication& publication, std::vector<proto::Encoded>& out) {
  if (const std::string_view user = watched_user(publication.channel); !user.empty()) {
    return out.push_back({.bytes = watchlist_frame(publication.payload, {clients_.name_of(user)})});
  }
  std::string frame = clients_.publication_frame(clients_.name_of(publication.channel), publication.kind,
                                                 publication.payload, publication.origin);
  if (!frame.empty()) out.push_back({.bytes = std::move(frame)});
}

void PusherEncoder::encode(const ipc::PresenceChange& change, std::vector<proto::Encoded>& out) {
  const std::string channel = clients_.name_of(change.channel);
  const auto name = parse_channel(channel);
  if (!name || name->kind != ChannelKind::Presence) return;
  if (!change.listed) {
    return out.push_back({.bytes = event_frame("pusher_internal:subscription_count", channel,
                                               counted_data(change.users, change.connections))});
  }
  if (change.whole) {
    return out.push_back({.bytes = event_frame("pusher_internal:subscription_succeeded", channel,
                                               presence_data(change.users, true, proto::members_of(change)))});
  }
  for (const ipc::MemberChange& each : change.changes) {
    if (!each.whole_user || each.event == ipc::MemberEvent::Updated) continue;
    const bool entered = each.event == ipc::MemberEvent::Entered;
    const std::string data =
        entered ? member_added_data(each.member.user, each.member.info) : member_removed_data(each.member.user);
    const std::string_view event = entered ? "pusher_internal:member_added" : "pusher_internal:member_removed";
    out.push_back({.bytes = event_frame(event, channel, data), .except = each.member.uid});
  }
}

void PusherEncoder::on_gap(record::Record& record, std::string_view, uint64_t) {
  clients_.ops().close(record, metrics::Metric::ClosesMissed, kErrorOverCapacity, "messages were lost");
}

}  // namespace beamgate::pusher
