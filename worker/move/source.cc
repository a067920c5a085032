#include "worker/move/source.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "common/base/clock.h"
#include "common/base/memory_file.h"
#include "common/fault/fault.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"
#include "worker/move/build_id.h"
#include "worker/move/record_tlv.h"
#include "worker/net/connections.h"

namespace beamgate::move {
namespace {

using record::Record;

constexpr size_t kSubscribeBytes = 64 << 10;  // Of channel names in one packet.

}  // namespace

Source::Source(Context& context, const ipc::MoveOut& order, UniqueFd socket, Decisions&& decisions, OnMoved on_moved)
    : context_(context),
      order_(order),
      decisions_(std::move(decisions)),
      on_moved_(std::move(on_moved)),
      porter_(context),
      link_(context.loop, std::move(socket), [this] { on_ready(); }),
      began_ms_(monotonic_ms()) {
  if (!link_.good()) {
    end(false, "the socket can't be watched");
    return;
  }
  link_.send(Hello{.format_major = kFormatMajor, .format_minor = kFormatMinor, .build = build_id()});
}

Source::~Source() {
  if (!finished_) abandon();
}

void Source::on_ready() {
  if (finished_) return;
  const auto received = link_.receive(
      [this](Kind kind, std::string_view body, Link::Descriptors&) { return on_packet(kind, body); });
  if (!received.ok() && !finished_) end(false, received.error().text);
}

bool Source::on_packet(Kind kind, std::string_view body) {
  switch (kind) {
    case Kind::Hello:
      return handle_as<Hello>(body, [this](const auto& message) { return on_hello(message); });
    case Kind::Subscribed:
      return handle_as<Subscribed>(body, [this](const auto& message) { return on_subscribed(message); });
    case Kind::Prepared:
      return handle_as<Prepared>(body, [this](const auto& message) { return on_prepared(message); });
    case Kind::Done:
      return handle_as<Done>(body, [this](const auto& message) { return on_done(message.batch); });
    default:
      return false;
  }
}

bool Source::on_hello(const Hello& message) {
  if (peer_ || message.version != kProtocolVersion || message.format_major != kFormatMajor) return false;
  peer_ = message;
  room_ = message.room;
  return true;
}

bool Source::on_subscribed(const Subscribed& message) {
  Batch* batch = find(message.batch);
  if (batch == nullptr || batch->state != Batch::State::Subscribing) return false;
  const size_t channels = batch->channels.size();
  if (message.offsets.size() != channels || message.presence.size() != channels) return false;
  batch->offsets = message.offsets;
  batch->presence = message.presence;
  batch->state = Batch::State::Covered;
  return true;
}

bool Source::on_prepared(const Prepared& message) {
  Batch* batch = find(message.batch);
  if (batch == nullptr || batch->state != Batch::State::Offered) return false;
  fault::point("source-answered");
  room_ = message.room;
  batch->accepted = message.accepted;
  return decide(*batch);
}

// Once the destination has prepared it and the master has got everything that was published here.
bool Source::decide(Batch& batch) {
  if (!batch.accepted || !batch.settled) return true;
  uint64_t moved = 0;
  for (size_t i = 0; i < batch.connections.size(); ++i) {
    const uint64_t bit = uint64_t{1} << i;
    if ((*batch.accepted & bit) == 0) {
      refused_ = true;
    } else if (frozen(batch, i) != nullptr) {
      moved |= bit;
    }
  }
  if (!decisions_.commit(batch.number, moved)) return false;  // It has given the batch back, and goes.
  batch.state = Batch::State::Committed;
  fault::point("source-committed");
  give_away(batch, moved);
  thaw(batch);
  fault::point("source-given");
  link_.send(Commit{.batch = batch.number});
  fault::point("source-told");
  return true;
}

void Source::on_settled(uint32_t number) {
  Batch* batch = find(number);
  if (batch == nullptr) return;
  batch->settled = true;
  if (!decide(*batch)) end(false, "the batch was given back");
}

bool Source::on_done(uint32_t number) {
  const Batch* batch = find(number);
  if (batch == nullptr || batch->state != Batch::State::Committed) return false;
  batches_.erase(batches_.begin() + (batch - batches_.data()));
  return true;
}

Source::Batch* Source::find(uint32_t number) {
  const auto found = std::find_if(batches_.begin(), batches_.end(),
                                  [number](const Batch& batch) { return batch.number == number; });
  return found == batches_.end() ? nullptr : &*found;
}

// --- Going on.

void Source::end_turn() {
  if (finished_ || !peer_) return;
  for (Batch& batch : batches_) {
    if (batch.state == Batch::State::Covered && covered(batch)) offer(batch);
    if (batch.state == Batch::State::Offered) ask_master(batch);
    if (finished_) return;
  }
  while (batches_.size() < kBatchesMax && gather()) {
    Batch& batch = batches_.back();
    if (batch.channels.empty()) {
      batch.state = Batch::State::Covered;
      offer(batch);
      if (finished_) return;
    } else {
      subscribe(batch);
    }
  }
  finish_if_done();
}

void Source::tick() {
  if (finished_) return;
  const int64_t now = monotonic_ms();
  if (!peer_ && now - began_ms_ > kAnswerMs) return end(false, "no answer");
  for (const Batch& batch : batches_) {
    const int64_t limit_ms = batch.state < Batch::State::Offered ? kChannelsMs : kAnswerMs;
    if (now - batch.since_ms > limit_ms) return end(false, "no answer");
  }
  // Those that could not be moved the last time; one of them shows whether there is room again.
  const bool looked_at_all = cursor_ >= context_.connections.slots_touched() || room_ == 0;
  if (!empties() || !batches_.empty() || !looked_at_all || now < next_pass_ms_) return;
  if (refused_) next_pass_ms_ = now + kRefusedMs;
  if (std::exchange(refused_, false)) return;
  room_ = std::max(room_, uint32_t{1});
  cursor_ = 0;
}

// How many more connections to take.
size_t Source::wanted() const {
  size_t most = std::min<size_t>({kBatchConnectionsMax, peer_->batch_max, room_});
  size_t under_way = 0;
  for (const Batch& batch : batches_) {
    if (batch.state != Batch::State::Committed) under_way += batch.connections.size();
  }
  if (!empties()) most = std::min<size_t>(most, order_.count - std::min<size_t>(order_.count, moved_ + under_way));
  return most;
}

// A batch of the next connections that can move; false: there are none now.
bool Source::gather() {
  const size_t most = wanted();
  Batch batch;
  std::unordered_set<std::string_view> channels;
  for (; cursor_ < context_.connections.slots_touched() && batch.connections.size() < most; ++cursor_) {
    Record& record = context_.arena.records()[cursor_];
    if (record.phase == record::Phase::Free || !context_.connections.movable(record)) continue;
    if (!context_.hub.all_confirmed(record) || record.outbound_bytes > kOutboundBytesMax) continue;
    if (!batch.connections.empty() && channels.size() + record.subscription_count > kChannelsMax) break;
    batch.connections.push_back(context_.connections.id_of(record));
    for (const std::string_view channel : context_.hub.channels_of(record)) channels.insert(channel);
  }
  if (batch.connections.empty()) return false;
  batch.number = next_batch_++;
  batch.since_ms = monotonic_ms();
  batch.channels.assign(channels.begin(), channels.end());
  batches_.push_back(std::move(batch));
  return true;
}

void Source::subscribe(const Batch& batch) {
  Subscribe message{.batch = batch.number, .last = false};
  size_t bytes = 0;
  for (const std::string& channel : batch.channels) {
    if (bytes + channel.size() > kSubscribeBytes) {
      link_.send(message);
      message.channels.clear();
      bytes = 0;
    }
    message.channels.push_back(channel);
    bytes += channel.size() + sizeof(uint32_t);
  }
  message.last = true;
  link_.send(message);
}

// We have delivered everything that came before the destination began to listen.
bool Source::covered(const Batch& batch) const {
  for (size_t i = 0; i < batch.channels.size(); ++i) {
    const auto place = context_.hub.place_of(batch.channels[i]);
    // A channel that nobody is subscribed to any more covers everything.
    if (place && (place->offset < batch.offsets[i] || place->presence < batch.presence[i])) return false;
  }
  return true;
}

void Source::offer(Batch& batch) {
  decisions_.open(batch.number);
  std::vector<int> descriptors;
  const std::string bytes = freeze(batch, descriptors);
  Offer message{.batch = batch.number, .connections = static_cast<uint32_t>(descriptors.size()), .bytes = bytes};
  UniqueFd memfd;
  if (bytes.size() > kInlineBytesMax) {
    auto made = make_memory_file("beamgate-move", bytes);
    if (!made.ok()) return thaw(batch);  // It is tried again.
    memfd = std::move(made).value();
    descriptors.insert(descriptors.begin(), memfd.get());
    message.in_memfd = true;
    message.bytes = {};
  }
  context_.arena.commit_turn();  // A successor must find them frozen once somebody else may have them.
  fault::point("source-frozen");
  const Result<void> sent = link_.try_send(message, descriptors);
  if (sent.ok()) {
    batch.state = Batch::State::Offered;
    batch.since_ms = monotonic_ms();
    fault::point("source-offered");
    ask_master(batch);
  } else if (sent.error().code == Code::WouldBlock) {
    thaw(batch);
  } else {
    thaw(batch);
    end(false, sent.error().text);
  }
}

// When the bus is full, it is asked at the end of a later turn.
void Source::ask_master(Batch& batch) {
  if (batch.asked) return;
  batch.asked = context_.remote.ask(
      context_.worker, hub::Method::Nothing, {},
      [self = std::weak_ptr<Source*>(self_), number = batch.number](std::vector<hub::Answer>&&) {
        if (const auto alive = self.lock()) (*alive)->on_settled(number);
      });
}

// Freezes what is still there of the batch, and returns its bytes.
std::string Source::freeze(Batch& batch, std::vector<int>& descriptors) {
  net::Connections& connections = context_.connections;
  BatchWriter writer(batch.number, build_id());
  std::vector<record::ConnId> frozen;
  for (const record::ConnId id : batch.connections) {
    Record* record = connections.find(id);
    if (record == nullptr || !connections.movable(*record) || !context_.hub.all_confirmed(*record)) continue;
    if (!frozen.empty() && writer.bytes() + record->outbound_bytes > kBatchBytes) continue;  // The next time.
    Image image = porter_.take(*record);
    image.descriptor = static_cast<uint16_t>(descriptors.size());
    writer.add(image);
    descriptors.push_back(record->fd);
    const auto index = static_cast<uint32_t>(frozen.size());
    connections.freeze(*record, static_cast<uint32_t>(decisions_.descriptor()) + 1,
                       batch.number << net::kPlaceIndexBits | index);
    frozen.push_back(id);
  }
  batch.connections = std::move(frozen);
  return writer.finish();
}

// Null: something has happened to it since, and it stays.
Record* Source::frozen(const Batch& batch, size_t index) {
  Record* record = context_.connections.find(batch.connections[index]);
  if (record == nullptr || !context_.connections.leaving(*record)) return nullptr;
  return record->move_place == (batch.number << net::kPlaceIndexBits | index) ? record : nullptr;
}

void Source::thaw(const Batch& batch) {
  for (size_t i = 0; i < batch.connections.size(); ++i) {
    if (Record* record = frozen(batch, i)) context_.connections.thaw(*record);
  }
}

void Source::give_away(const Batch& batch, uint64_t moved) {
  for (size_t i = 0; i < batch.connections.size(); ++i) {
    if ((moved >> i & 1) == 0) continue;
    Record& record = *frozen(batch, i);
    context_.hub.forget_members(record);
    context_.connections.give_away(record);
    ++moved_;
  }
}

// --- Ending.

void Source::finish_if_done() {
  if (!batches_.empty()) return;
  const bool looked_at_all = cursor_ >= context_.connections.slots_touched();
  // Those that can't leave stay, and are waited for when the worker is told to end.  Who is in the middle of a TLS
  // handshake may leave behind it, but nobody holds a move up by not making it.
  const bool waits = monotonic_ms() - began_ms_ < kHandshakesMs;
  const uint32_t rooted = context_.connections.rooted() + (waits ? 0 : context_.connections.handshakes());
  const bool emptied = context_.connections.active() == rooted;
  const bool done = empties() ? emptied : moved_ >= order_.count || looked_at_all || room_ == 0;
  if (!done) return;
  link_.send(End{});
  end(true, "");
}

void Source::end(bool ok, const char* reason) {
  abandon();
  finished_ = true;
  on_moved_({.move = order_.move, .ok = ok, .moved = moved_, .left = context_.connections.active(), .reason = reason});
}

void Source::abandon() {
  for (const Batch& batch : batches_) {
    if (batch.state != Batch::State::Offered) continue;
    decisions_.give_back(batch.number);
    thaw(batch);
  }
  batches_.clear();
}

}  // namespace beamgate::move
