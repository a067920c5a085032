#include "worker/move/destination.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/memory_file.h"
#include "common/fault/fault.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"
#include "worker/move/build_id.h"
#include "worker/move/record_tlv.h"
#include "worker/net/connections.h"
#include "worker/record/uid.h"

namespace beamgate::move {
namespace {

using record::Record;

constexpr uint64_t kDescriptorsReserved = 256;  // For everything that isn't a client.

}  // namespace

Destination::Destination(Context& context, UniqueFd socket, Decisions&& decisions)
    : context_(context),
      decisions_(std::move(decisions)),
      porter_(context),
      link_(context.loop, std::move(socket), [this] { on_ready(); }) {
  if (!link_.good()) {
    end("the socket can't be watched");
    return;
  }
  link_.send(Hello{.format_major = kFormatMajor, .format_minor = kFormatMinor, .build = build_id(),
                   .batch_max = kBatchConnectionsMax, .room = room()});
}

Destination::~Destination() {
  if (!finished_) end("this worker stops");
}

uint32_t Destination::room() const {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t used = context_.connections.active() + kDescriptorsReserved;
  const uint64_t descriptors = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
  return static_cast<uint32_t>(std::min<uint64_t>(descriptors, context_.connections.room()));
}

void Destination::on_ready() {
  if (finished_) return;
  const auto received =
      link_.receive([this](Kind kind, std::string_view body, Link::Descriptors& descriptors) {
        return !finished_ && on_packet(kind, body, descriptors);  // Nothing may come behind END.
      });
  if (!received.ok() && !finished_) end(received.error().text);
}

bool Destination::on_packet(Kind kind, std::string_view body, Link::Descriptors& descriptors) {
  if (kind != Kind::Hello && !greeted_) return false;
  switch (kind) {
    case Kind::Hello:
      return handle_as<Hello>(body, [this](const Hello& message) {
        if (greeted_) return false;
        greeted_ = true;
        return message.version == kProtocolVersion && message.format_major == kFormatMajor;
      });
    case Kind::Subscribe:
      return handle_as<Subscribe>(body, [this](const auto& message) { return on_subscribe(message); });
    case Kind::Offer:
      return handle_as<Offer>(body, [&](const auto& message) { return on_offer(message, descriptors); });
    case Kind::Commit:
      return handle_as<Commit>(body, [this](const auto& message) { return on_commit(message.batch); });
    case Kind::End:
      end("");
      return true;
    default:
      return false;
  }
}

Destination::Batch* Destination::find(uint32_t number) {
  const auto found = std::find_if(batches_.begin(), batches_.end(),
                                  [number](const Batch& batch) { return batch.number == number; });
  return found == batches_.end() ? nullptr : &*found;
}

Destination::Batch* Destination::find_or_open(uint32_t number) {
  if (Batch* batch = find(number)) return batch;
  if (batches_.size() >= kBatchesMax || number == 0) return nullptr;
  batches_.push_back({.number = number});
  return &batches_.back();
}

// --- Listening first.

bool Destination::on_subscribe(const Subscribe& message) {
  Batch* batch = find_or_open(message.batch);
  if (batch == nullptr || batch->named || batch->state != Batch::State::Subscribing) return false;
  if (batch->channels.size() + message.channels.size() > kChannelsMax) return false;
  for (const std::string_view channel : message.channels) {
    if (!context_.hub.hold(channel)) return false;
    batch->channels.emplace_back(channel);
  }
  batch->named = message.last;
  return true;
}

bool Destination::answer_subscribe(Batch& batch) {
  Subscribed message{.batch = batch.number};
  for (const std::string& channel : batch.channels) {
    const auto place = context_.hub.place_of(channel);
    if (!place) return false;
    message.offsets.push_back(place->offset);
    message.presence.push_back(place->presence);
  }
  batch.state = Batch::State::Subscribed;
  link_.send(message);
  return true;
}

void Destination::release_channels(Batch& batch) {
  for (const std::string& channel : batch.channels) context_.hub.release(channel);
  batch.channels.clear();
}

// --- Taking in.

bool Destination::on_offer(const Offer& message, Link::Descriptors& descriptors) {
  Batch* batch = find_or_open(message.batch);
  if (batch == nullptr || batch->state == Batch::State::Prepared) return false;
  if (batch->state == Batch::State::Subscribing && !batch->channels.empty()) return false;
  fault::point("destination-offered");
  if (!message.in_memfd) return prepare(*batch, message.connections, message.bytes, descriptors);
  if (descriptors.empty()) return prepare(*batch, message.connections, {}, descriptors);  // None of them came.
  std::string bytes;
  if (!read_memory_file(descriptors.front().get(), kBlobBytesMax, bytes).ok()) return false;
  descriptors.erase(descriptors.begin());
  return prepare(*batch, message.connections, bytes, descriptors);
}

// Descriptors that the kernel dropped for want of room are missing at the end, and so are their connections.
bool Destination::prepare(Batch& batch, uint32_t promised, std::string_view bytes, Link::Descriptors& descriptors) {
  Prepared answer{.batch = batch.number};
  if (!bytes.empty()) {
    const auto read = read_batch(bytes);
    if (!read.ok() || read.value().number != batch.number) return false;
    const auto& connections = read.value().connections;
    if (connections.size() != promised) return false;
    batch.connections.resize(connections.size());
    for (size_t i = 0; i < connections.size(); ++i) {
      const Image& image = connections[i].image;
      const char* refusal = connections[i].refusal;
      if (refusal == nullptr && image.descriptor >= descriptors.size()) refusal = "its descriptor did not come";
      if (refusal == nullptr) {
        const auto place = static_cast<uint32_t>(batch.number << net::kPlaceIndexBits | i);
        Record* record = porter_.build(image, std::move(descriptors[image.descriptor]),
                                       static_cast<uint32_t>(decisions_.descriptor()) + 1, place, refusal);
        if (record != nullptr) {
          batch.connections[i] = context_.connections.id_of(*record);
          answer.accepted |= uint64_t{1} << i;
          continue;
        }
      }
      context_.log.warn("connection_not_taken",
                        {{"connection", record::format_uid(image.fields.uid)}, {"reason", refusal}});
    }
  }
  release_channels(batch);
  batch.state = Batch::State::Prepared;
  batch.since_ms = monotonic_ms();
  answer.room = room();
  context_.arena.commit_turn();  // What is promised must be found by a successor.
  fault::point("destination-built");
  link_.send(answer);
  fault::point("destination-prepared");
  return true;
}

bool Destination::on_commit(uint32_t number) {
  Batch* batch = find(number);
  if (batch == nullptr || batch->state != Batch::State::Prepared) return false;
  if (decisions_.give_back(number) != Decisions::Fate::Committed) return false;  // It was never decided.
  fault::point("destination-committed");
  const bool told = settle(*batch);
  fault::point("destination-served");
  batch->state = Batch::State::Served;
  told ? ask_master(*batch) : finish(number);
  return true;
}

// When the bus is full, it is asked at the end of a later turn.
void Destination::ask_master(Batch& batch) {
  if (batch.asked) return;
  batch.asked = context_.remote.ask(
      context_.worker, hub::Method::Nothing, {},
      [self = std::weak_ptr<Destination*>(self_), number = batch.number](std::vector<hub::Answer>&&) {
        if (const auto alive = self.lock()) (*alive)->finish(number);
      });
}

void Destination::finish(uint32_t number) {
  Batch* batch = find(number);
  if (batch == nullptr || finished_) return;
  batches_.erase(batches_.begin() + (batch - batches_.data()));
  link_.send(Done{.batch = number});
  fault::point("destination-done");
}

// Serves those that have moved, and forgets the others.  True: the master was told of members.
bool Destination::settle(Batch& batch) {
  bool told = false;
  const bool committed = decisions_.give_back(batch.number) == Decisions::Fate::Committed;
  const uint64_t moved = committed ? decisions_.connections(batch.number) : 0;
  for (size_t i = 0; i < batch.connections.size(); ++i) {
    Record* record = context_.connections.find(batch.connections[i]);
    if (record == nullptr) continue;
    const bool ours = (moved >> i & 1) != 0;
    if (ours && context_.connections.begin(*record)) {
      record = context_.connections.find(batch.connections[i]);
      if (record != nullptr && context_.hub.tell_members(*record)) told = true;
      continue;
    }
    if (ours) shutdown(record->fd, SHUT_RDWR);  // It can't be served anywhere.
    porter_.discard(*record);
  }
  batch.connections.clear();
  return told;
}

// --- Going on, ending.

void Destination::end_turn() {
  for (Batch& batch : batches_) {
    if (batch.state == Batch::State::Subscribing && batch.named) answer_subscribe(batch);
    if (batch.state == Batch::State::Served) ask_master(batch);
  }
}

void Destination::tick() {
  const int64_t now = monotonic_ms();
  for (const Batch& batch : batches_) {
    if (batch.state == Batch::State::Prepared && now - batch.since_ms > kDecisionMs) return end("no decision");
  }
}

void Destination::end(const char* reason) {
  for (Batch& batch : batches_) {
    release_channels(batch);
    if (batch.state == Batch::State::Prepared) settle(batch);
  }
  batches_.clear();
  if (*reason != '\0') context_.log.warn("move_broken_off", {{"reason", reason}});
  finished_ = true;
}

}  // namespace beamgate::move
