#include "worker/proto/event_stream.h"

#include <algorithm>
#include <charconv>

#include "common/base/clock.h"
#include "common/json/value.h"
#include "worker/http/cross_origin.h"
#include "worker/net/connections.h"
#include "worker/proto/event_text.h"
#include "worker/record/frame.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"

namespace beamgate::proto {
namespace {

using config::EventStreamAction;
using metrics::Metric;
using record::Phase;
using record::Record;
using record::Ref;

constexpr std::string_view kStreamFields = "Last-Event-ID, Cache-Control, Authorization";

// A page that connects for the first time can't send the field, so the argument stands in for it.
std::string last_event_id(const http::Request& request) {
  if (request.has_field("Last-Event-ID")) return std::string(request.field("Last-Event-ID"));
  return request.argument("last_event_id");
}

}  // namespace

EventStream::EventStream(Context& context, ChannelPolicy& policy, ChannelDoor& door)
    : ChannelReader(context, policy, door,
                    {Phase::EventStream, Metric::EventStreamsActive, true, kStreamFields}) {}

EventStream::~EventStream() { forget_current(); }

const EventStreamAction& EventStream::action_of(const Record& record) const {
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? fallback_ : location->event_stream;
}

// --- Beginning.

void EventStream::begin(http::Exchange& exchange, const Guest& guest) {
  const http::Request& request = exchange.request();
  http::ResponseHead head;
  head.fields = http::cross_origin_fields(request, request.location->event_stream.cross_origin);
  head.fields.push_back({"Content-Type", "text/event-stream"});
  head.fields.push_back({"Cache-Control", "no-store"});
  head.fields.push_back({"X-Accel-Buffering", "no"});
  if (request.method == "HEAD") {
    exchange.begin(std::move(head));
    return exchange.finish();
  }
  const std::string last_id = last_event_id(request);
  const uint32_t location_id = request.location->id;
  Record* record = exchange.leave(std::move(head), Phase::EventStream, [&](Record& own) {
    record::touch(context_.arena, own);
    own.ws = {};  // Of which `close` says that it has to end.
    own.protocol = record::Protocol::EventStream;
    own.location_id = location_id;
    remember_user(own, guest);
    const std::string expires = guest.expires_s == 0 ? std::string() : std::to_string(guest.expires_s);
    if (!record::assign_text(context_.arena, own.handshake, expires)) own.ws.close = record::CloseState::SentClose;
  });
  if (record == nullptr) return;
  if (record->ws.close != record::CloseState::Open) {
    context_.metrics.add(Metric::ClosesMemory);
    return go(*record);
  }
  const record::ConnId id = context_.connections.id_of(*record);
  const int64_t retry_ms = action_of(*record).retry_ms;
  send_text(*record, retry_ms > 0 ? "retry: " + std::to_string(retry_ms) + "\n\n" : std::string(kEventComment));
  const auto cursor = last_id.empty() ? std::nullopt : Cursor::parse(last_id, guest.channels);
  if (!last_id.empty() && !cursor) send_reset(*record, "cursor", {});
  if (context_.connections.find(id) != nullptr) join(*record, guest, cursor);
}

// It has no way to tell of members.
void EventStream::prepare(Record& record, std::string_view channel, std::string& user, hub::JoinOptions& options) {
  policy_.prepare(record, channel, user, options);
  options.wants = static_cast<uint8_t>(options.wants & ~ipc::kStateMembers);
}

// Once for each channel; what was published since the client's place comes first.
void EventStream::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  if (record.phase != Phase::EventStream) return;
  context_.connections.touch(record);
  if (!state.answered) return end(record, Metric::ClosesMissed);
  const bool came_back = !tag.empty();
  std::string text;
  for (const ipc::Past& past : state.publications) {
    write_event(past.origin.event, past.payload_kind, past.payload, text);
    write_event_end(cursor_of(record, {state.channel, state.epoch, past.offset}), text);
  }
  if (!text.empty()) send_text(record, text);
  if (came_back && !state.recovered) send_reset(record, "history", state.channel);
  context_.hub.set_tag(record, state.channel, {});
  if (all_joined(record)) send_id(record, {state.channel, state.epoch, state.offset});
}

void EventStream::send_id(Record& record, const Reached& latest) {
  std::string text;
  write_event_end(cursor_of(record, latest), text);
  send_text(record, text);
}

// --- Publications.

void EventStream::encode(const hub::Publication& publication, std::vector<Encoded>& out) {
  forget_current();
  std::string bytes;
  write_event(publication.origin.event, publication.kind, publication.payload, bytes);
  current_.channel = publication.channel;
  current_.epoch = publication.epoch;
  current_.offset = publication.offset;
  current_.body_bytes = bytes.size();
  write_event_end(write_place(publication.epoch, publication.offset), bytes);
  out.push_back({.bytes = std::move(bytes), .except = publication.except});
}

// A reader of several channels gets an id of its own; those of the same channels are at the same places, and share it.
bool EventStream::send(Record& record, Ref frame) {
  if (record.phase != Phase::EventStream || record.ws.close != record::CloseState::Open) return false;
  if (record.subscription_count <= 1) return queue(record, frame);
  // What is made good for one that arrives comes channel by channel: no place is true until all has been.
  const bool arriving = context_.connections.arriving(record);
  const std::string id =
      arriving ? std::string() : cursor_of(record, {current_.channel, current_.epoch, current_.offset});
  if (current_.frame == record::kNull || id != current_.id) {
    const std::span<char> shared = record::frame_bytes(context_.arena, frame);
    std::string bytes(shared.data(), std::min(shared.size(), current_.body_bytes));
    write_event_end(id, bytes);
    record::release_frame(context_.arena, current_.frame);
    current_.frame = record::make_frame(context_.arena, bytes);
    current_.id = id;
  }
  if (current_.frame != record::kNull) return queue(record, current_.frame);
  end(record, Metric::ClosesMemory);
  return false;
}

void EventStream::forget_current() {
  record::release_frame(context_.arena, current_.frame);
  current_.frame = record::kNull;
}

bool EventStream::queue(Record& record, Ref frame) {
  if (!context_.connections.send_frame(record, frame)) {
    const size_t queued = context_.connections.outbound_queued(record);
    if (action_of(record).slow_reader == config::WebSocketAction::SlowReader::Close || queued == 0) {
      end(record, Metric::ClosesSlowReader);
      return false;
    }
    const uint32_t dropped = context_.connections.drop_oldest(record, SIZE_MAX);
    context_.metrics.add(Metric::MessagesDroppedSlowReader, dropped);
    send_reset(record, "slow", {});
    if (record.phase != Phase::EventStream || record.ws.close != record::CloseState::Open ||
        !context_.connections.send_frame(record, frame)) {
      end(record, Metric::ClosesSlowReader);
      return false;
    }
  }
  ++record.messages_sent;
  return true;
}

// It comes back and recovers what was missed, or is told that it can't.
void EventStream::on_gap(Record& record, std::string_view, uint64_t) { end(record, Metric::ClosesMissed); }

// What belongs to the stream itself always finds room: the queue's limit is raised for it.
void EventStream::send_text(Record& record, std::string_view text) {
  if (record.phase != Phase::EventStream) return;
  record::touch(context_.arena, record);
  const uint32_t limit = record.outbound_limit;
  record.outbound_limit =
      static_cast<uint32_t>(std::min<uint64_t>(uint64_t{limit} + text.size(), UINT32_MAX / 2));
  const bool sent = context_.connections.send(record, text);
  record.outbound_limit = limit;
  if (!sent) end(record, Metric::ClosesMemory);
}

void EventStream::send_reset(Record& record, std::string_view reason, std::string_view channel) {
  json::Value data = json::Value::object();
  data.set("reason", reason);
  if (!channel.empty()) data.set("channel", channel);
  std::string text;
  write_event(kResetEvent, ipc::PayloadKind::Json, data.dump(), text);
  write_event_end({}, text);
  send_text(record, text);
}

// What isn't with the kernel yet is of no use: its reader comes back for it.  A stream on its way to this worker ends
// once it is here, and is sent nothing more: there must be no hole in front of anything.
void EventStream::end(Record& record, Metric why) {
  if (record.phase != Phase::EventStream) return;
  if (record.ws.close == record::CloseState::Open) context_.metrics.add(why);
  go(record);
}

void EventStream::go(Record& record) {
  if (context_.connections.arriving(record)) {
    record::touch(context_.arena, record);
    record.ws.close = record::CloseState::SentClose;
    return;
  }
  context_.connections.touch(record);
  context_.connections.drop_oldest(record, SIZE_MAX);
  context_.connections.close_gracefully(record);
}

// --- What Connections tells.

void EventStream::on_enter(Record& record) {
  const EventStreamAction& action = action_of(record);
  record.outbound_limit = static_cast<uint32_t>(std::min<uint64_t>(action.send_queue_bytes, UINT32_MAX / 2));
  context_.metrics.add(Metric::EventStreamsActive);
  set_next_deadline(record);
}

// In how many milliseconds its token ends; INT64_MAX: never.
int64_t EventStream::expires_ms(const Record& record) const {
  const std::string_view text = record::text_of(context_.arena, record.handshake);
  int64_t expires_s = 0;
  std::from_chars(text.data(), text.data() + text.size(), expires_s);
  return expires_s == 0 ? INT64_MAX : std::max<int64_t>(expires_s * 1000 - wall_ms(), 0);
}

void EventStream::set_next_deadline(Record& record) {
  const int64_t keepalive_ms = action_of(record).keepalive_ms;
  const int64_t next_ms = std::min(keepalive_ms == 0 ? INT64_MAX : keepalive_ms, expires_ms(record));
  context_.connections.set_deadline(record, next_ms == INT64_MAX ? 0 : monotonic_ms() + next_ms);
}

// There is nothing more to say for a client.
size_t EventStream::on_bytes(Record&, std::span<const char> bytes) { return bytes.size(); }

void EventStream::on_deadline(Record& record) {
  if (record.ws.close != record::CloseState::Open) return go(record);
  const bool expired = expires_ms(record) == 0;
  if (draining_ || expired) {
    context_.metrics.add(expired ? Metric::ClosesToken : Metric::ClosesDraining);
    return context_.connections.close_gracefully(record);
  }
  set_next_deadline(record);
  if (context_.connections.outbound_queued(record) == 0) send_text(record, kEventComment);
}

void EventStream::on_adopted(Record& record) {
  context_.metrics.add(Metric::EventStreamsActive);
  const bool due = draining_ || record.ws.close != record::CloseState::Open;
  if (due) return context_.connections.set_deadline(record, context_.connections.now_ms());
  if (record.subscription_count > 1 && all_joined(record)) {
    const hub::Hub::Position any = context_.hub.positions_of(record).front();
    send_id(record, {any.channel, any.epoch, any.offset});
  }
  if (record.deadline_tick == 0) set_next_deadline(record);
}

}  // namespace beamgate::proto
