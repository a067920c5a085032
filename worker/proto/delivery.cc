#include "worker/proto/delivery.h"

#include "common/fault/fault.h"
#include "worker/record/frame.h"

namespace beamgate::proto {
namespace {

ws::Opcode opcode_of(ipc::PayloadKind kind) {
  return kind == ipc::PayloadKind::Binary ? ws::Opcode::Binary : ws::Opcode::Text;
}

// A frame that is made when the first subscriber needs it.
class LazyFrame {
 public:
  explicit LazyFrame(record::Arena& arena) : arena_(arena) {}
  LazyFrame(const LazyFrame&) = delete;
  LazyFrame& operator=(const LazyFrame&) = delete;
  ~LazyFrame() { record::release_frame(arena_, frame_); }

  template <typename Make>
  record::Ref get(Make&& make) {
    if (frame_ == record::kNull) frame_ = make();
    return frame_;
  }

 private:
  record::Arena& arena_;
  record::Ref frame_ = record::kNull;
};

}  // namespace

void Delivery::deliver(const hub::Publication& publication, std::span<const uint32_t> slots) {
  record::Arena& arena = connections_.arena();
  const ws::Opcode opcode = opcode_of(publication.kind);
  const std::string_view payload = publication.payload;
  fault::obey(payload);
  LazyFrame plain(arena);
  LazyFrame compressed(arena);
  for (size_t i = slots.size(); i-- > 0;) {
    record::Record& record = arena.records()[slots[i]];
    if (record.uid == publication.except) continue;
    record::Ref frame = record::kNull;
    switch (websockets_->variant_for(record, payload.size())) {
      case ws::WebSockets::Variant::Plain:
        frame = plain.get([&] { return websockets_->encode_message(opcode, payload); });
        break;
      case ws::WebSockets::Variant::Compressed:
        frame = compressed.get([&] { return websockets_->encode_message(opcode, payload, true); });
        break;
      case ws::WebSockets::Variant::Own:
        break;
    }
    if (frame != record::kNull) {
      websockets_->send_frame(record, frame);
    } else {
      websockets_->send(record, opcode, payload);
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
