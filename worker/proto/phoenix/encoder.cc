#include "worker/proto/phoenix/encoder.h"

#include <utility>

#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/presence.h"

namespace beamgate::proto::phoenix {

void Encoder::encode(const hub::Publication& publication, std::vector<Encoded>& out) {
  Broadcast told = topics_.broadcast(publication.channel, publication.kind, publication.payload, publication.origin);
  if (!told.bytes.empty()) out.push_back({told.binary, std::move(told.bytes), 0});
}

void Encoder::encode(const ipc::PresenceChange& change, std::vector<Encoded>& out) {
  if (change.channel.starts_with(hub::kUserChannelPrefix)) return;  // Whose members are one user.
  if (!change.listed) {
    const std::string count = presence_count(change.users, change.connections);
    out.push_back({false, text_broadcast(change.channel, kPresenceCount, count), 0});
    return;
  }
  if (change.whole) {
    if (!topics_.rules().has_presence(change.channel)) return;
    return out.push_back({false, text_broadcast(change.channel, kPresenceState, presence_state(members_of(change))), 0});
  }
  // Who has come finds itself in its presence_state.
  const bool alone = change.changes.size() == 1 && change.changes.front().event == ipc::MemberEvent::Entered;
  const uint64_t except = alone ? change.changes.front().member.uid : 0;
  for (const std::string& diff : presence_diffs(change.changes)) {
    out.push_back({false, text_broadcast(change.channel, kPresenceDiff, diff), except});
  }
}

void Encoder::on_gap(record::Record& record, std::string_view channel, uint64_t) {
  topics_.end(record, channel, kError, reason_json("messages were lost"));
}

}  // namespace beamgate::proto::phoenix
