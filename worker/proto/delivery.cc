#include "worker/proto/delivery.h"

#include "worker/record/frame.h"

namespace beamgate::proto {
namespace {

ws::Opcode opcode_of(ipc::PayloadKind kind) {
  return kind == ipc::PayloadKind::Binary ? ws::Opcode::Binary : ws::Opcode::Text;
}

}  // namespace

void Delivery::deliver(const hub::Publication& publication, std::span<const uint32_t> slots) {
  record::Arena& arena = connections_.arena();
  const ws::Opcode opcode = opcode_of(publication.kind);
  const record::FrameHolder plain(arena, websockets_->encode_message(opcode, publication.payload));
  for (size_t i = slots.size(); i-- > 0;) {
    record::Record& record = arena.records()[slots[i]];
    if (record.uid == publication.except) continue;
    if (plain.get() != record::kNull && record.ws.deflate_flags == 0) {
      websockets_->send_frame(record, plain.get());
    } else {
      websockets_->send(record, opcode, publication.payload);
    }
  }
}

// A raw subscriber has no way to ask for what it missed; closing it with 1013 lets it come back and ask its
// application, while silence would leave it with a hole that it can't see.
void Delivery::deliver_gap(std::string_view channel, uint64_t offset, std::span<const uint32_t> slots) {
  log_.warn("publications_missed", {{"channel", channel}, {"offset", offset}, {"subscribers", slots.size()}});
  for (size_t i = slots.size(); i-- > 0;) {
    websockets_->close(connections_.arena().records()[slots[i]], ws::kCloseTryAgainLater, "messages were lost");
  }
}

}  // namespace beamgate::proto
