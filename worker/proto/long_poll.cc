#include "worker/proto/long_poll.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/json/value.h"
#include "worker/http/cross_origin.h"
#include "worker/http/http_layer.h"
#include "worker/net/connections.h"
#include "worker/record/frame.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"

namespace beamgate::proto {
namespace {

using config::LongPollAction;
using metrics::Metric;
using record::Phase;
using record::Record;

constexpr std::string_view kPollFields = "If-None-Match, Authorization";
constexpr std::string_view kExposedFields = "ETag";
constexpr char kKeep = 'k';   // First byte of Record::handshake: what follows the answer; then the answer's fields.
constexpr char kClose = 'c';

// The cursor that the client brings.  An entity tag is one in quotes, and may have been declared weak on its way.
std::string since_of(const http::Request& request) {
  std::string since = request.argument("since");
  if (!since.empty()) return since;
  std::string_view tag = request.field("If-None-Match");
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"') return {};
  return std::string(tag.substr(1, tag.size() - 2));
}

std::string_view reason_of(uint16_t status) { return status == 204 ? "204 No Content" : "200 OK"; }

std::string text_of(std::string_view text) { return json::Value(text).dump(); }

// One publication, as a member of the list.
void write_publication(std::string_view channel, uint64_t offset, std::string_view event, ipc::PayloadKind kind,
                       std::string_view payload, std::string& out) {
  out.append("{\"channel\":").append(text_of(channel)).append(",\"offset\":").append(std::to_string(offset));
  if (!event.empty()) out.append(",\"event\":").append(text_of(event));
  if (kind == ipc::PayloadKind::Binary) {
    out.append(",\"encoding\":\"base64\",\"data\":\"").append(crypto::base64_encode(payload)).append(1, '"');
  } else if (kind == ipc::PayloadKind::Json && json::parse(payload).ok()) {
    out.append(",\"data\":").append(payload);
  } else {
    out.append(",\"data\":").append(text_of(payload));
  }
  out += '}';
}

}  // namespace

LongPoll::LongPoll(Context& context, ChannelPolicy& policy, ChannelDoor& door)
    : ChannelReader(context, policy, door,
                    {Phase::LongPoll, Metric::LongPollsActive, false, kPollFields}) {}

const LongPollAction& LongPoll::action_of(const Record& record) const {
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? fallback_ : location->long_poll;
}

// --- Requests.

void LongPoll::begin(http::Exchange& exchange, const Guest& guest) {
  const http::Request& request = exchange.request();
  auto fields = http::cross_origin_fields(request, request.location->long_poll.cross_origin, kExposedFields);
  fields.push_back({"Cache-Control", "no-store"});
  const std::string since = since_of(request);
  const uint32_t location_id = request.location->id;
  const auto prepare = [&](Record& own, const http::Postponed& postponed) {
    record::touch(context_.arena, own);
    own.protocol = record::Protocol::LongPoll;
    own.location_id = location_id;
    remember_user(own, guest);
    const std::string answer = (postponed.keep_alive ? kKeep : kClose) + postponed.fields;
    // Without memory for them, the answer has fewer fields.
    static_cast<void>(record::assign_text(context_.arena, own.handshake, answer));
  };
  Record* record = nullptr;
  if (request.http2) {
    fields.push_back({"Content-Type", "application/json"});
    record = exchange.leave({.fields = std::move(fields)}, Phase::LongPoll, [&](Record& own) { prepare(own, {}); });
  } else if (exchange.body_complete()) {
    record = exchange.postpone(std::move(fields), Phase::LongPoll, prepare);
  } else {
    return exchange.respond(400, "text/plain", "A request for publications has no body.\n");
  }
  if (record == nullptr) return;
  if (guest.expires_s != 0) end_with_token(*record, guest.expires_s);
  const auto cursor = since.empty() ? std::nullopt : Cursor::parse(since, guest.channels);
  const record::ConnId id = context_.connections.id_of(*record);
  beginning_ = true;
  join(*record, guest, cursor, since.empty() ? std::string_view() : std::string_view(&kMissed, 1));
  beginning_ = false;
  if (Record* begun = context_.connections.find(id)) answer_if_due(*begun);
}

// Then there is nothing, and the next request needs another token.
void LongPoll::end_with_token(Record& record, int64_t expires_s) {
  const int64_t left_ms = std::max<int64_t>(expires_s * 1000 - wall_ms(), 0);
  if (left_ms < action_of(record).timeout_ms) context_.connections.set_deadline(record, monotonic_ms() + left_ms);
}

void LongPoll::end(Record& record, Metric why) {
  if (record.phase != Phase::LongPoll) return;
  context_.metrics.add(why);
  context_.connections.close_gracefully(record);
}

void LongPoll::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  if (record.phase != Phase::LongPoll) return;
  context_.connections.touch(record);
  if (!state.answered) return end(record, Metric::ClosesMissed);
  if (!tag.empty() && (!state.recovered || context_.hub.is_pattern(state.channel))) {
    if (!note_missed(record, {state.channel, state.epoch, state.offset})) return end(record, Metric::ClosesMemory);
  } else if (state.publications.empty()) {
    context_.hub.set_tag(record, state.channel, {});
  } else if (const auto missed = missed_by(record);
             std::all_of(missed.begin(), missed.end(), [&](auto channel) { return is_standing(record, channel); })) {
    return answer(record, state);
  }
  answer_if_due(record);
}

// With what was published behind the cursor; the other channels have their places in it, joined or not.
void LongPoll::answer(Record& record, const ipc::ChannelState& state) {
  const size_t count = std::min<size_t>(state.publications.size(), action_of(record).publications_max);
  std::string publications;
  for (const ipc::Past& past : std::span(state.publications).first(count)) {
    if (!publications.empty()) publications += ',';
    write_publication(state.channel, past.offset, past.origin.event, past.payload_kind, past.payload, publications);
  }
  const uint64_t offset = count < state.publications.size() ? state.publications[count - 1].offset : state.offset;
  answer(record, cursor_of(record, {state.channel, state.epoch, offset}), publications);
}

// False: no memory.
bool LongPoll::note_missed(Record& record, const Reached& place) {
  return context_.hub.set_tag(record, place.channel, kMissed + write_place(place.epoch, place.offset));
}

std::vector<std::string_view> LongPoll::missed_by(const Record& record) const {
  std::vector<std::string_view> missed = context_.hub.channels_of(record);
  std::erase_if(missed, [&](std::string_view channel) {
    return !context_.hub.tag_of(record, channel).starts_with(kMissed);
  });
  return missed;
}

// That a cursor says nothing of a pattern is so each time, and said with what there is else.  Its tag has a place then.
bool LongPoll::is_standing(const Record& record, std::string_view channel) const {
  return context_.hub.tag_of(record, channel).size() > 1 && context_.hub.is_pattern(channel);
}

// A cursor that lacks a channel would be answered so again and again: what there is to say waits until all are joined.
void LongPoll::answer_if_due(Record& record) {
  if (record.phase != Phase::LongPoll || beginning_ || record.subscription_count == 0 || !all_joined(record)) return;
  const auto channels = context_.hub.channels_of(record);
  const bool left_behind = std::any_of(channels.begin(), channels.end(), [&](std::string_view channel) {
    return !context_.hub.tag_of(record, channel).empty() && !is_standing(record, channel);
  });
  if (left_behind) answer(record, cursor_of(record), {});
}

// --- Publications.

void LongPoll::encode(const hub::Publication& publication, std::vector<Encoded>& out) {
  current_ = {std::string(publication.channel), std::string(publication.epoch), publication.offset};
  std::string bytes;
  write_publication(publication.channel, publication.offset, publication.origin.event, publication.kind,
                    publication.payload, bytes);
  out.push_back({.bytes = std::move(bytes), .except = publication.except});
}

bool LongPoll::send(Record& record, record::Ref frame) {
  if (record.phase != Phase::LongPoll) return false;
  if (beginning_ || (record.subscription_count > 1 && !all_joined(record))) return put_off(record), false;
  const std::span<char> publication = record::frame_bytes(context_.arena, frame);
  answer(record, cursor_of(record, {current_.channel, current_.epoch, current_.offset}),
         {publication.data(), publication.size()});
  return true;
}

// The client is in front of it, and is brought it by the next request; where that isn't known any more, it is told.
void LongPoll::put_off(Record& record) {
  if (!context_.hub.tag_of(record, current_.channel).empty()) return;
  const bool has_place = current_.offset != 0;  // A pattern's publications have none.
  const std::string tag = has_place ? write_place(current_.epoch, current_.offset - 1) : std::string(1, kMissed);
  if (!context_.hub.set_tag(record, current_.channel, tag)) end(record, Metric::ClosesMemory);
}

void LongPoll::on_gap(Record& record, std::string_view channel, uint64_t offset) {
  if (record.phase != Phase::LongPoll) return;
  for (const hub::Hub::Position& position : context_.hub.positions_of(record)) {
    if (position.channel != channel) continue;
    if (!note_missed(record, {channel, position.epoch, offset})) return end(record, Metric::ClosesMemory);
  }
  answer_if_due(record);
}

// --- Answers.

void LongPoll::answer(Record& record, std::string_view cursor, std::string_view publications) {
  const std::vector<std::string_view> missed = missed_by(record);
  std::string body = "{\"cursor\":" + text_of(cursor) + ",\"publications\":[" + std::string(publications) + "]";
  for (size_t i = 0; i < missed.size(); ++i) {
    body.append(i == 0 ? ",\"missed\":[" : ",").append(text_of(missed[i]));
    if (i + 1 == missed.size()) body += ']';
  }
  respond(record, 200, cursor, body + "}\n");
}

void LongPoll::answer_nothing(Record& record) {
  const std::string cursor = cursor_of(record);
  const bool is_204 = record.transport != record::Transport::Stream && missed_by(record).empty();
  is_204 ? respond(record, 204, cursor, {}) : answer(record, cursor, {});
}

void LongPoll::respond(Record& record, uint16_t status, std::string_view cursor, std::string_view body) {
  if (context_.connections.arriving(record)) return postpone(record, cursor, body);
  context_.connections.touch(record);
  const std::string_view stored = record::text_of(context_.arena, record.handshake);
  const bool keep = !draining_ && stored.starts_with(kKeep);
  std::string out;
  if (record.transport != record::Transport::Stream) {
    out.append("HTTP/1.1 ").append(reason_of(status)).append("\r\nDate: ").append(date_.now()).append("\r\n");
    if (!stored.empty()) out += stored.substr(1);
    if (!cursor.empty()) out.append("ETag: \"").append(cursor).append("\"\r\n");
    if (status != 204) {
      out += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    out += keep ? "\r\n" : "Connection: close\r\n\r\n";
  }
  const bool sent = context_.connections.send(record, out, body);
  if (!sent) {
    context_.metrics.add(Metric::ClosesMemory);
    return context_.connections.close_now(record);
  }
  ++record.messages_sent;
  give_back(record, keep);
}

// Its answer came before the connection was this worker's: it waits in the record.  What comes behind it is for the next
// request.
void LongPoll::postpone(Record& record, std::string_view cursor, std::string_view body) {
  if (record.app_state != record::kNull) return;
  record::touch(context_.arena, record);
  // Without memory, the answer is that there was nothing; the cursor of the next one is then unknown, which is said.
  static_cast<void>(
      record::assign_text(context_.arena, record.app_state, std::string(cursor).append(1, '\n').append(body)));
}

void LongPoll::give_back(Record& record, bool keep_alive) {
  if (!keep_alive) return context_.connections.close_gracefully(record);
  on_gone(record);
  record.protocol = record::Protocol::None;
  record::assign_text(context_.arena, record.user, {});
  record::assign_text(context_.arena, record.handshake, {});
  record::assign_text(context_.arena, record.app_state, {});
  context_.connections.uncount(record);
  context_.connections.resume(record, record::kPauseExchange);
  context_.connections.enter_phase(record, Phase::Http);
}

// --- What Connections tells.

void LongPoll::on_enter(Record& record) {
  record.outbound_limit = http::HttpLayer::kOutboundBytesMax;
  context_.metrics.add(Metric::LongPollsActive);
  context_.connections.set_deadline(record, monotonic_ms() + action_of(record).timeout_ms);
}

// The next request waits.
size_t LongPoll::on_bytes(Record& record, std::span<const char> bytes) {
  if (record.transport == record::Transport::Stream) return bytes.size();
  if (bytes.size() > kPipelinedBytesMax) context_.connections.pause(record, record::kPauseExchange);
  return 0;
}

void LongPoll::on_deadline(Record& record) {
  if (record.app_state == record::kNull) return answer_nothing(record);
  const std::string postponed(record::text_of(context_.arena, record.app_state));
  const size_t end = postponed.find('\n');
  respond(record, 200, std::string_view(postponed).substr(0, end), std::string_view(postponed).substr(end + 1));
}

void LongPoll::on_adopted(Record& record) {
  context_.metrics.add(Metric::LongPollsActive);
  if (draining_ || record.deadline_tick == 0 || record.app_state != record::kNull) {
    context_.connections.set_deadline(record, context_.connections.now_ms());
  }
}

}  // namespace beamgate::proto
