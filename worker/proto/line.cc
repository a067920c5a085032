#include "worker/proto/line.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/net/spread_deadlines.h"
#include "worker/proto/line_reader.h"
#include "worker/record/frame.h"
#include "worker/settings.h"

namespace beamgate::proto {
namespace {

using metrics::Metric;
using record::Phase;
using record::Record;
using record::Ref;

constexpr std::string_view kJoin = "JOIN ";
constexpr std::string_view kShuttingDown = "BYE server shutting down";
constexpr int64_t kSecondMs = 1'000;

}  // namespace

void Line::follow() {
  const auto& config = context_.settings.current_shared();
  for (const config::LineServer& server : config->lines) {
    for (const config::Listen& listen : server.listens) servers_[listen.id] = Served{config, &server};
  }
}

const config::LineServer& Line::server_of(const Record& record) const {
  const auto found = servers_.find(record.listen_id);
  return found == servers_.end() ? fallback_ : *found->second.server;
}

// --- What a client says.

size_t Line::on_bytes(Record& record, std::span<const char> bytes) {
  const record::ConnId id = context_.connections.id_of(record);
  const config::LineServer& server = server_of(record);
  const std::string_view all(bytes.data(), bytes.size());
  size_t used = 0;
  for (uint32_t lines = 0; record.pauses == 0 && used < all.size(); ++lines) {
    if (lines == kLinesPerTurn) {
      context_.connections.pause(record, record::kPauseTurn);
      break;
    }
    const LineStep step = read_line(all.substr(used), server.line_bytes_max);
    if (step.kind == LineStep::Kind::NeedMore) break;
    if (step.kind == LineStep::Kind::TooLong) {
      say(record, "ERR line too long");
      if (context_.connections.find(id) != nullptr) end(record, Metric::ClosesMessageTooBig);
      return bytes.size();
    }
    if (context_.connections.outbound_room(record) < record.outbound_limit / 2) {
      // It talks and doesn't listen.
      context_.connections.pause(record, record::kPauseOutbound);
      break;
    }
    if (!take_turn(record, server.rate)) {
      wait_for_turn(record, server.rate);
      break;
    }
    if (!obey(record, step.line)) break;
    used += step.consumed;
    if (context_.connections.find(id) == nullptr || record.phase != Phase::Line) return bytes.size();
  }
  return used;
}

// False: the line has to wait, and is to be said again.
bool Line::obey(Record& record, std::string_view line) {
  record::touch(context_.arena, record);
  ++record.messages_received;
  context_.metrics.add(Metric::MessagesReceived);
  if (line.starts_with(kJoin)) {
    join(record, line.substr(kJoin.size()));
    return true;
  }
  if (record.subscription_count == 0) {
    say(record, "ERR join a room first");
    return true;
  }
  if (valid_utf8(line)) return publish(record, line);
  say(record, "ERR not UTF-8");
  return true;
}

void Line::join(Record& record, std::string_view room) {
  const std::string channel = server_of(record).room_prefix + std::string(room);
  const bool is_name = !room.empty() && !channel.starts_with('#') && valid_utf8(room);
  const auto verdict = is_name ? policy_.may_subscribe(channel) : ChannelPolicy::Subscribing::NoName;
  if (verdict != ChannelPolicy::Subscribing::Open) policy_.refused(verdict);
  switch (verdict) {
    case ChannelPolicy::Subscribing::Open: break;
    case ChannelPolicy::Subscribing::NoName: return say(record, "ERR no such room");
    case ChannelPolicy::Subscribing::Full: return say(record, "ERR the room is full");
    case ChannelPolicy::Subscribing::Token:
    case ChannelPolicy::Subscribing::Webhook:
    case ChannelPolicy::Subscribing::Denied: return say(record, "ERR not allowed");
  }
  context_.hub.unsubscribe_all(record);
  context_.connections.pause(record, record::kPauseLayer);
  hub::JoinOptions options{.tag = room};
  std::string user;
  policy_.prepare(record, channel, user, options);
  options.wants = static_cast<uint8_t>(options.wants & ~ipc::kStateMembers);
  if (context_.hub.join(record, channel, options).ok()) return;
  context_.connections.resume(record, record::kPauseLayer);
  policy_.refused(ChannelPolicy::Subscribing::Full);
  // Somebody at another worker may have taken the last place meanwhile.
  const bool full = policy_.may_subscribe(channel) == ChannelPolicy::Subscribing::Full;
  say(record, full ? "ERR the room is full" : "ERR no memory");
}

void Line::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  if (record.phase != Phase::Line) return;
  context_.connections.touch(record);
  std::string answer = state.answered ? "OK joined " + std::string(tag) : "ERR no memory";
  for (const ipc::Past& past : state.publications) {  // The newest, of a channel with a cache.
    answer += '\n';
    write_line(past.payload_kind, past.payload, answer);
    answer.pop_back();
  }
  const record::ConnId id = context_.connections.id_of(record);
  say(record, answer);
  if (context_.connections.find(id) != nullptr) context_.connections.resume(record, record::kPauseLayer);
}

// False: the bus is full.
bool Line::publish(Record& record, std::string_view line) {
  const std::string_view channel = context_.hub.channels_of(record).front();
  switch (policy_.may_publish(channel, line.size())) {
    case ChannelPolicy::Publishing::Allowed: break;
    case ChannelPolicy::Publishing::Denied: return say(record, "ERR not allowed"), true;
    case ChannelPolicy::Publishing::TooFast: return say(record, "ERR too fast"), true;
    case ChannelPolicy::Publishing::TooLarge: return say(record, "ERR line too long"), true;
  }
  hub::PublishOptions options;
  options.except = options.origin.sender = record.uid;
  if (context_.hub.publish(channel, line, options)) return true;
  bus_wait_.wait(context_.connections.id_of(record), [] {});
  return false;
}

// --- Its rate: one moment per client, at which all of it would be there again.

bool Line::take_turn(const Record& record, uint32_t rate) {
  if (rate == 0) return true;
  const uint32_t slot = context_.connections.id_of(record).slot;
  if (slot >= buckets_.size()) buckets_.resize(size_t{slot} + 1);
  int64_t& full_at = buckets_[slot].full_at_ms;  // In thousandths of a millisecond.
  const int64_t now = context_.connections.now_ms() * 1'000;
  const int64_t next = std::max(full_at, now) + kSecondMs * 1'000 / rate;
  if (next > now + kSecondMs * 1'000) return false;
  full_at = next;
  return true;
}

void Line::wait_for_turn(Record& record, uint32_t rate) {
  context_.connections.pause(record, record::kPauseLayer);
  const int64_t one_ms = std::max<int64_t>(kSecondMs / rate, 1);
  context_.connections.set_deadline(record, context_.connections.now_ms() + one_ms);
}

// --- What it is told.

void Line::encode(const hub::Publication& publication, std::vector<Encoded>& out) {
  std::string bytes;
  write_line(publication.kind, publication.payload, bytes);
  out.push_back({.bytes = std::move(bytes), .except = publication.except});
}

void Line::on_gap(Record& record, std::string_view, uint64_t) { say(record, "ERR lines were lost"); }

bool Line::send(Record& record, Ref frame) {
  return record.phase == Phase::Line && record.ws.close == record::CloseState::Open && queue(record, frame);
}

bool Line::queue(Record& record, Ref frame) {
  if (!context_.connections.send_frame(record, frame)) {
    context_.connections.touch(record);
    const uint32_t dropped = context_.connections.drop_oldest(record, SIZE_MAX);
    if (server_of(record).slow_reader == config::WebSocketAction::SlowReader::Close || dropped == 0) {
      end(record, Metric::ClosesSlowReader);
      return false;
    }
    context_.metrics.add(Metric::MessagesDroppedSlowReader, dropped);
    const record::ConnId id = context_.connections.id_of(record);
    say(record, "ERR lines were lost");
    if (context_.connections.find(id) == nullptr || record.phase != Phase::Line) return false;
    if (!context_.connections.send_frame(record, frame)) {
      context_.metrics.add(Metric::MessagesDroppedSlowReader);
      return false;
    }
  }
  ++record.messages_sent;
  return true;
}

void Line::say(Record& record, std::string_view text) {
  if (record.phase != Phase::Line) return;
  record::touch(context_.arena, record);
  if (context_.connections.send(record, text, "\n")) return;
  context_.connections.drop_oldest(record, SIZE_MAX);
  end(record, Metric::ClosesSlowReader);
}

void Line::end(Record& record, Metric why) {
  if (record.phase == Phase::Line && record.ws.close == record::CloseState::Open) context_.metrics.add(why);
  go(record);
}

// One that is on its way to this worker ends once it is here.
void Line::go(Record& record) {
  if (!context_.connections.arriving(record)) return context_.connections.close_gracefully(record);
  record::touch(context_.arena, record);
  record.ws.close = record::CloseState::SentClose;
}

void Line::close(Record& record, Metric why) { say_bye(record, why, "BYE closed by the application"); }

void Line::unsubscribe(Record& record, std::string_view channel) {
  const std::string text = "ERR removed from " + std::string(channel.substr(server_of(record).room_prefix.size()));
  context_.hub.unsubscribe(record, channel);
  say(record, text);
}

// The last line always finds room: the queue's limit is raised for it.
void Line::say_bye(Record& record, Metric why, std::string_view text) {
  context_.connections.touch(record);
  record.outbound_limit += 64;
  say(record, text);
  if (record.phase == Phase::Line) end(record, why);
}

// --- What Connections tells.

void Line::on_enter(Record& record) {
  record.protocol = record::Protocol::Line;
  record.outbound_limit =
      static_cast<uint32_t>(std::min<uint64_t>(server_of(record).send_queue_bytes, UINT32_MAX / 2));
  context_.metrics.add(Metric::LinesActive);
  const uint32_t slot = context_.connections.id_of(record).slot;
  if (slot < buckets_.size()) buckets_[slot] = {};
  if (draining_) return say_bye(record, Metric::ClosesDraining, kShuttingDown);
  set_next_deadline(record);
}

void Line::set_next_deadline(Record& record) {
  const int64_t idle_ms = server_of(record).idle_timeout_ms;
  const int64_t heard_ms = context_.connections.last_received_ms(record);
  context_.connections.set_deadline(record, idle_ms == 0 ? 0 : heard_ms + idle_ms);
}

// Its end comes behind all that it has said.
void Line::on_end(Record& record) { context_.connections.close_gracefully(record); }

void Line::on_drained(Record& record) { context_.connections.resume(record, record::kPauseOutbound); }

void Line::on_deadline(Record& record) {
  if (record.ws.close != record::CloseState::Open) return go(record);
  if (draining_) return say_bye(record, Metric::ClosesDraining, kShuttingDown);
  const bool waits = (record.pauses & record::kPauseLayer) != 0;
  const bool joining = waits && record.subscription_count > 0 &&
                       context_.hub.is_joining(record, context_.hub.channels_of(record).front());
  const int64_t idle_ms = server_of(record).idle_timeout_ms;
  const int64_t silent_ms = context_.connections.now_ms() - context_.connections.last_received_ms(record);
  if (idle_ms != 0 && silent_ms >= idle_ms && !waits) return end(record, Metric::ClosesIdle);
  set_next_deadline(record);
  if (waits && !joining) context_.connections.resume(record, record::kPauseLayer);
}

void Line::on_adopted(Record& record) {
  context_.metrics.add(Metric::LinesActive);
  const bool waits = (record.pauses & record::kPauseLayer) != 0;
  const bool ends = draining_ || record.ws.close != record::CloseState::Open;
  if (ends || (waits && record.deadline_tick == 0)) {
    context_.connections.set_deadline(record, context_.connections.now_ms());
  }
}

void Line::on_given(Record&) { context_.metrics.subtract(Metric::LinesActive); }

void Line::on_gone(Record& record) {
  context_.metrics.subtract(Metric::LinesActive);
  context_.hub.unsubscribe_all(record);
}

void Line::drain(int64_t after_ms, int64_t over_ms) {
  draining_ = true;
  const auto is_ours = [](const Record& record) { return record.phase == Phase::Line; };
  if (after_ms > 0 || over_ms > 0) return net::spread_deadlines(context_.connections, is_ours, after_ms, over_ms);
  context_.connections.for_each([&](Record& record) {
    if (is_ours(record)) say_bye(record, Metric::ClosesDraining, kShuttingDown);
  });
}

}  // namespace beamgate::proto
