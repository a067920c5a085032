#include "worker/ws/websockets.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/channel_rules.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/net/spread_deadlines.h"
#include "worker/record/frame.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"
#include "worker/ws/close_code.h"
#include "worker/ws/frame_head.h"
#include "worker/ws/handshake.h"
#include "worker/ws/pulse.h"
#include "worker/ws/utf8_stream.h"

namespace beamgate::ws {
namespace {

using config::WebSocketAction;
using metrics::Metric;
using record::CloseState;
using record::Phase;
using record::Record;
using record::Ref;

constexpr int kSharedDeflateLevel = 1;  // One frame serves locations with different levels.

record::Protocol protocol_of(WebSocketAction::Mode mode) {
  switch (mode) {
    case WebSocketAction::Mode::Echo:
      return record::Protocol::Echo;
    case WebSocketAction::Mode::Pusher:
      return record::Protocol::Pusher;
    case WebSocketAction::Mode::Phoenix:
      return record::Protocol::Phoenix;
    case WebSocketAction::Mode::Centrifuge:
      return record::Protocol::Centrifuge;
    case WebSocketAction::Mode::Raw:
      break;
  }
  return record::Protocol::Raw;
}

std::string_view view_of(std::span<const char> bytes) { return {bytes.data(), bytes.size()}; }

Metric failure_metric(uint16_t code) {
  if (code == kCloseMessageTooBig) return Metric::ClosesMessageTooBig;
  return code == kCloseTryAgainLater ? Metric::ClosesMemory : Metric::ClosesProtocolError;
}

Metric metric_of(Cause cause) {
  switch (cause) {
    case Cause::Shutdown:
    case Cause::Restart:
      return Metric::ClosesDraining;
    case Cause::SlowReader:
      return Metric::ClosesSlowReader;
    case Cause::Silence:
      return Metric::ClosesIdle;
    case Cause::TooFast:
      break;
  }
  return Metric::ClosesTooFast;
}

Metric gauge_of(record::Protocol protocol) {
  switch (protocol) {
    case record::Protocol::Echo: return Metric::WebSocketsEcho;
    case record::Protocol::Pusher: return Metric::WebSocketsPusher;
    case record::Protocol::Phoenix: return Metric::WebSocketsPhoenix;
    case record::Protocol::Centrifuge: return Metric::WebSocketsCentrifuge;
    default: return Metric::WebSocketsRaw;
  }
}

}  // namespace

WebSockets::WebSockets(Context& context) : context_(context), reader_(context.arena), deflate_(context.arena), rates_(context) {}

WebSockets::~WebSockets() = default;

void WebSockets::set_application(WebSocketAction::Mode mode, Application& application) {
  applications_[static_cast<size_t>(protocol_of(mode))] = &application;
}

const WebSocketAction& WebSockets::action_of(const Record& record) const {
  const config::Location* location = context_.settings.location(record.location_id);
  return location == nullptr ? fallback_ : location->websocket;
}

Application& WebSockets::application_of(const Record& record) const {
  Application* application = applications_[static_cast<size_t>(record.protocol)];
  BG_ASSERT(application != nullptr);
  return *application;
}

void WebSockets::count_open(const Record& record) {
  context_.metrics.add(Metric::WebSocketsActive);
  context_.metrics.add(gauge_of(record.protocol));
}

void WebSockets::uncount_open(const Record& record) {
  context_.metrics.subtract(Metric::WebSocketsActive);
  context_.metrics.subtract(gauge_of(record.protocol));
}

bool WebSockets::is_open(const Record& record) const {
  return record.phase == Phase::WebSocket && record.ws.close == CloseState::Open;
}

// --- Handshake.

void WebSockets::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  Application& application = *applications_[static_cast<size_t>(protocol_of(request.location->websocket.mode))];
  if (!request.upgrade_websocket && !drain_.active && application.on_request(exchange)) return;
  std::optional<Refusal> refusal = refuse_handshake(request);
  Metric reason = Metric::WebSocketHandshakesMalformed;
  if (!refusal && !origin_allowed(request, request.location->websocket)) {
    refusal = Refusal{403, "This Origin is not allowed.\n"};
    reason = Metric::WebSocketHandshakesOrigin;
  }
  if (!refusal && negotiate_deflate(request, request.location->websocket).malformed) {
    refusal = Refusal{400, "Malformed Sec-WebSocket-Extensions.\n"};
  }
  if (!refusal && drain_.active) {
    refusal = Refusal{503, "Shutting down.\n"};
    reason = Metric::WebSocketHandshakesDraining;
  }
  if (!refusal) return application.on_handshake(exchange);
  context_.metrics.add(reason);
  std::vector<http::ResponseField> fields;
  if (refusal->status == 426) fields = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
  if (refusal->status == 405) fields = {{"Allow", "GET"}};
  exchange.respond(refusal->status, "text/plain", refusal->text, std::move(fields));
}

bool WebSockets::accept(http::Exchange& exchange, const std::vector<http::ResponseField>& extra) {
  Record& record = exchange.record();
  if (exchange.begun() || (record.phase != Phase::Http && record.phase != Phase::Http2)) return false;
  const http::Request& request = exchange.request();
  const WebSocketAction& action = request.location->websocket;

  std::vector<http::ResponseField> fields = {{"Upgrade", "websocket"},
                                             {"Connection", "Upgrade"},
                                             {"Sec-WebSocket-Accept", accept_key(request.field("Sec-WebSocket-Key"))}};
  const bool chosen = std::any_of(extra.begin(), extra.end(), [](const http::ResponseField& field) {
    return iequals(field.name, "Sec-WebSocket-Protocol");
  });
  const std::string_view subprotocol = chosen ? std::string_view() : choose_subprotocol(request, action);
  if (!subprotocol.empty()) fields.push_back({"Sec-WebSocket-Protocol", std::string(subprotocol)});
  const DeflateAnswer deflate = negotiate_deflate(request, action);
  if (!deflate.field.empty()) fields.push_back({"Sec-WebSocket-Extensions", deflate.field});
  fields.insert(fields.end(), extra.begin(), extra.end());

  record.ws = {};
  if (deflate.parameters) store_parameters(*deflate.parameters, record.ws);
  record.protocol = protocol_of(action.mode);
  record.location_id = request.location->id;
  exchange.upgrade(fields, Phase::WebSocket);
  return true;
}

void WebSockets::open(Record& record, const config::Location& location) {
  context_.connections.touch(record);
  record.ws = {};
  record.protocol = protocol_of(location.websocket.mode);
  record.location_id = location.id;
  context_.connections.enter_phase(record, Phase::WebSocket);
}

// --- What Connections tells.

void WebSockets::on_enter(Record& record) {
  const WebSocketAction& action = action_of(record);
  const int64_t now_ms = context_.connections.now_ms();
  record.outbound_limit = static_cast<uint32_t>(std::min<uint64_t>(action.send_queue_bytes, UINT32_MAX / 2));
  const int64_t first_ms = drain_.active ? now_ms : check_pulse(action, now_ms, now_ms, true).next_ms;
  context_.connections.set_deadline(record, first_ms);
  context_.metrics.add(Metric::WebSocketHandshakes);
  count_open(record);
  if (tap_ != nullptr && tap_->looks_at(record)) {
    tap_->show(record, Tap::Way::Event, false, "opened, " + std::string(record::name_of(record.protocol)));
  }
  // What it is a member of by now was told before it spoke anything.
  if (record.user != record::kNull) {
    context_.hub.tell_members(record);
    const std::string channel = hub::user_channel(record::text_of(context_.arena, record.user));
    if (config::rules_of(context_.settings.current().http, channel).history > 0) context_.hub.fetch_kept(record, channel);
  }
  application_of(record).on_open(record);
}

void WebSockets::on_joined(Record& record, std::string_view tag, const ipc::ChannelState& state) {
  if (record.phase == Phase::WebSocket) application_of(record).on_joined(record, tag, state);
}

size_t WebSockets::on_bytes(Record& record, std::span<const char> bytes) {
  const record::ConnId id = context_.connections.id_of(record);
  const WebSocketAction& action = action_of(record);
  const MessageLimits limits{.message_bytes_max = action.message_bytes_max,
                             .compression = record.ws.deflate_flags != 0};
  size_t used = 0;
  handled_bytes_ = 0;
  for (uint32_t steps = 0; !waits_for_room(record, action); ++steps) {
    if (steps == kStepsPerTurn || handled_bytes_ >= kMessageBytesPerTurn) {
      context_.connections.pause(record, record::kPauseTurn);
      break;
    }
    const Step step = reader_.read(record, bytes.subspan(used), limits);
    if (step.kind == Step::Kind::NeedMore) break;
    used += step.consumed;
    act(record, step, action);
    reader_.done();
    if (record.generation != id.generation || record.phase != Phase::WebSocket) return bytes.size();
    if (record.pauses != 0) break;
  }
  return used;
}

// Answers go into the queue that the peer reads from: when it doesn't read, it isn't read either.
bool WebSockets::waits_for_room(Record& record, const WebSocketAction& action) {
  if (record.outbound_head == record::kNull || !is_open(record)) return false;
  const uint64_t wanted = std::min<uint64_t>(action.message_bytes_max, record.outbound_limit / 2);
  if (context_.connections.outbound_room(record) > wanted) return false;
  context_.connections.pause(record, record::kPauseOutbound);
  return true;
}

void WebSockets::on_drained(Record& record) { context_.connections.resume(record, record::kPauseOutbound); }

// FIN without Close: nothing more can come, and what is queued may still be wanted.
void WebSockets::on_end(Record& record) { context_.connections.close_gracefully(record); }

void WebSockets::on_deadline(Record& record) {
  if (record.ws.close != CloseState::Open) return context_.connections.close_now(record);
  if (drain_.active) return close_for(record, drain_.cause);
  const bool reading = (record.pauses & ~record::kPauseOutbound) == 0;
  const int64_t heard_ms = context_.connections.last_received_ms(record);
  const std::string_view heartbeat = application_of(record).heartbeat();
  const Pulse pulse =
      check_pulse(action_of(record), context_.connections.now_ms(), heard_ms, reading, !heartbeat.empty());
  if (pulse.due == Pulse::Due::Close) return close_for(record, Cause::Silence);
  context_.connections.set_deadline(record, pulse.next_ms);
  // A ping that finds no room is not missed: output is waiting for the peer all the same.
  if (pulse.due != Pulse::Due::Ping) return;
  if (heartbeat.empty()) {
    send_control(record, Opcode::Ping, {});
  } else {
    send_control(record, Opcode::Text, heartbeat);
  }
}

bool WebSockets::may_move(const Record& record) { return application_of(record).may_move(record); }

void WebSockets::on_adopted(Record& record) {
  context_.connections.resume(record, record::kPauseLayer);  // Whoever would have done it is gone.
  count_open(record);
  const bool due = record.deadline_tick == 0 || (drain_.active && is_open(record));
  if (due) context_.connections.set_deadline(record, context_.connections.now_ms());
  application_of(record).on_adopted(record);
}

void WebSockets::on_given(Record& record) {
  if (pong_watch_ != nullptr) pong_watch_->on_gone(context_.connections.id_of(record));
  uncount_open(record);
  application_of(record).on_given(record);
  reader_.forget(record);
  deflate_.forget(record, context_.connections.id_of(record));
}

void WebSockets::on_gone(Record& record) {
  Ending ending;
  if (record.ws.close_code != 0) ending = {record.ws.close_code, record.ws.closed_by_peer != 0, record.ws.silent != 0};
  if (tap_ != nullptr && tap_->looks_at(record)) {
    const char* who = ending.by_peer ? " by the client" : " by the gateway";
    tap_->show(record, Tap::Way::Event, false, "closed with " + std::to_string(ending.code) + who);
  }
  if (pong_watch_ != nullptr) pong_watch_->on_gone(context_.connections.id_of(record));
  uncount_open(record);
  application_of(record).on_gone(record, ending);
  reader_.forget(record);
  deflate_.forget(record, context_.connections.id_of(record));
}

// --- Steps of the reader.

void WebSockets::act(Record& record, const Step& step, const WebSocketAction& action) {
  switch (step.kind) {
    case Step::Kind::Message:
      return deliver(record, step, action);
    case Step::Kind::Ping:
      if (is_open(record)) send_control(record, Opcode::Pong, view_of(step.payload));
      return;
    case Step::Kind::Close:
      return on_close_frame(record, view_of(step.payload));
    case Step::Kind::Failure:
      return fail(record, step.code, step.reason);
    case Step::Kind::Pong:
      if (pong_watch_ != nullptr) pong_watch_->on_pong(context_.connections.id_of(record), view_of(step.payload));
      return;
    case Step::Kind::Progress:
    case Step::Kind::NeedMore:
      return;
  }
}

void WebSockets::deliver(Record& record, const Step& step, const WebSocketAction& action) {
  std::span<char> payload = step.payload;
  if (step.compressed && !inflate(record, payload, step.opcode, action.message_bytes_max)) return;
  handled_bytes_ += payload.size();
  ++record.messages_received;
  context_.metrics.add(Metric::MessagesReceived);
  show(record, Tap::Way::Received, step.opcode, view_of(payload));
  if (!action.rates.empty()) {
    const auto verdict = rates_.take(record, action);
    if (verdict == MessageRates::Verdict::Drop) return application_of(record).on_too_fast(record, step.opcode, payload);
    if (verdict == MessageRates::Verdict::Close) return close_for(record, Cause::TooFast);
  }
  application_of(record).on_message(record, step.opcode, payload);
}

// False: the connection has been failed.
bool WebSockets::inflate(Record& record, std::span<char>& payload, Opcode opcode, uint64_t bytes_max) {
  const auto inflated = deflate_.inflate(record, context_.connections.id_of(record), payload, bytes_max);
  payload = inflated.message;
  switch (inflated.outcome) {
    case Deflate::Outcome::Done:
      break;
    case Deflate::Outcome::TooBig:
      fail(record, kCloseMessageTooBig, "message too big");
      return false;
    case Deflate::Outcome::Corrupt:
      fail(record, kCloseInvalidPayload, "compressed data is corrupt");
      return false;
    case Deflate::Outcome::NoMemory:
      fail(record, kCloseTryAgainLater, "out of memory");
      return false;
  }
  if (opcode != Opcode::Text || check_utf8(view_of(payload)) == Utf8State::Boundary) return true;
  fail(record, kCloseInvalidPayload, "text is not UTF-8");
  return false;
}

void WebSockets::on_close_frame(Record& record, std::string_view payload) {
  const ClosePayload close = parse_close(payload);
  if (is_open(record)) {
    if (close.violation != 0) return fail(record, close.violation, "malformed Close");
    begin_closing(record, close.code, true);
    send_close(record, close.code, {});
  }
  record.ws.close = CloseState::Both;
  context_.connections.close_gracefully(record);
}

// RFC 6455 section 7.1.7: what follows can't be understood any more, so nothing is waited for.
void WebSockets::fail(Record& record, uint16_t code, std::string_view reason) {
  if (is_open(record)) {
    context_.metrics.add(failure_metric(code));
    begin_closing(record, code, false);
    send_close(record, code, reason);
  }
  context_.connections.close_gracefully(record);
}

void WebSockets::begin_closing(Record& record, uint16_t code, bool by_peer) {
  record::touch(context_.arena, record);
  record.ws.close = by_peer ? CloseState::ReceivedClose : CloseState::SentClose;
  record.ws.close_code = code;
  record.ws.closed_by_peer = by_peer;
  reader_.forget(record);
}

void WebSockets::close(Record& record, Metric why, uint16_t code, std::string_view reason) {
  if (!is_open(record)) return;
  context_.metrics.add(why);
  context_.connections.touch(record);
  begin_closing(record, code, false);
  send_close(record, code, reason);
  context_.connections.set_deadline(record, context_.connections.now_ms() + action_of(record).close_timeout_ms);
  // Messages are of no interest any more, and the peer's Close must be seen.
  for (const auto reason_to_wait : {record::kPauseWebhook, record::kPauseOutbound, record::kPauseBus}) {
    context_.connections.resume(record, reason_to_wait);
  }
}

void WebSockets::close_for(Record& record, Cause cause) {
  const CloseText text = application_of(record).closes_with(cause);
  if (cause == Cause::Silence && is_open(record)) {
    record::touch(context_.arena, record);
    record.ws.silent = 1;
  }
  close(record, metric_of(cause), text.code, text.reason);
}

void WebSockets::drain(Cause cause, int64_t after_ms, int64_t over_ms) {
  drain_ = Drain{.active = true, .cause = cause};
  const auto is_ours = [this](const Record& record) { return is_open(record); };
  net::spread_deadlines(context_.connections, is_ours, after_ms, over_ms);
}

// --- Sending.

// The last frame always finds room: the queue's limit is raised for it.
void WebSockets::send_close(Record& record, uint16_t code, std::string_view reason) {
  char payload[kControlBytesMax];
  size_t size = 0;
  if (code != kCloseNoStatus) {
    store_be(payload, code);
    reason = cut_utf8(reason, kCloseReasonBytesMax);
    std::copy(reason.begin(), reason.end(), payload + 2);
    size = 2 + reason.size();
  }
  const uint32_t limit = record.outbound_limit;
  record.outbound_limit += kControlBytesMax + kFrameHeadBytesMax;
  send_control(record, Opcode::Close, {payload, size});
  record.outbound_limit = limit;
}

bool WebSockets::send_control(Record& record, Opcode opcode, std::string_view payload) {
  const FrameHead head(opcode, payload.size());
  return context_.connections.send(record, head.view(), payload);
}

// A message that is dropped must not be missing in a window that the peer's next one refers to.
bool WebSockets::may_drop(const Record& record) const {
  const bool takeover = (record.ws.deflate_flags & (kDeflateNegotiated | kDeflateServerNoTakeover)) == kDeflateNegotiated;
  return !takeover && action_of(record).slow_reader == WebSocketAction::SlowReader::DropOldest;
}

// Tries; when the queue is full, does what websocket_slow_reader says.  Where it has room, the arena has none: that
// isn't the reader's fault, but leaves nothing else to be done.
template <typename Try>
bool WebSockets::send_or_apply_policy(Record& record, size_t bytes, Try&& try_to_send) {
  if (try_to_send()) return true;
  const size_t room = context_.connections.outbound_room(record);
  const bool no_memory = bytes <= room;
  if (may_drop(record)) {
    const Metric why = no_memory ? Metric::MessagesDroppedMemory : Metric::MessagesDroppedSlowReader;
    const uint32_t dropped = context_.connections.drop_oldest(record, bytes - std::min(bytes, room));
    context_.metrics.add(why, dropped);
    if (dropped > 0 && try_to_send()) return true;
    context_.metrics.add(why);
    return false;
  }
  context_.connections.drop_oldest(record, SIZE_MAX);
  const CloseText text = application_of(record).closes_with(Cause::SlowReader);
  close(record, no_memory ? Metric::ClosesMemory : Metric::ClosesSlowReader, text.code, text.reason);
  return false;
}

bool WebSockets::send(Record& record, Opcode opcode, std::string_view message) {
  if (!is_open(record)) return false;
  record::touch(context_.arena, record);
  std::string_view payload = message;
  const std::string_view smaller = record.ws.deflate_flags == 0 ? std::string_view() : compress(record, payload);
  const bool compressed = !smaller.empty();
  if (compressed) payload = smaller;
  const FrameHead head(opcode, payload.size(), compressed);
  const size_t size = head.size() + payload.size();
  const bool sent = send_or_apply_policy(
      record, size, [&] { return context_.connections.send(record, head.view(), payload); });
  if (!sent) return false;
  show(record, Tap::Way::Sent, opcode, message);
  ++record.messages_sent;
  context_.metrics.add(Metric::MessagesSent);
  return true;
}

// Empty: the message goes uncompressed.
std::string_view WebSockets::compress(Record& record, std::string_view payload) {
  const WebSocketAction& action = action_of(record);
  if (payload.size() < action.deflate_bytes_min) return {};
  return deflate_.compress(record, context_.connections.id_of(record), payload, action.deflate_level);
}

WebSockets::Variant WebSockets::variant_for(const Record& record, size_t payload_bytes) const {
  if (record.ws.deflate_flags == 0 || payload_bytes < action_of(record).deflate_bytes_min) return Variant::Plain;
  return Deflate::takes_shared(record) ? Variant::Compressed : Variant::Own;
}

bool WebSockets::send_frame(Record& record, Ref frame) {
  if (!is_open(record)) return false;
  const size_t size = record::frame_bytes(context_.arena, frame).size();
  const bool sent =
      send_or_apply_policy(record, size, [&] { return context_.connections.send_frame(record, frame); });
  if (sent) ++record.messages_sent;
  return sent;
}

Ref WebSockets::encode_message(Opcode opcode, std::string_view payload, bool compressed, std::string_view ping) {
  if (compressed) {
    const std::string_view smaller = deflate_.compress_shared(payload, kSharedDeflateLevel);
    compressed = !smaller.empty();
    if (compressed) payload = smaller;
  }
  const FrameHead head(opcode, payload.size(), compressed);
  const FrameHead ping_head(Opcode::Ping, ping.size());
  const size_t ping_bytes = ping.empty() ? 0 : ping_head.size() + ping.size();
  const Ref frame = record::make_frame(context_.arena, head.size() + payload.size() + ping_bytes);
  if (frame == record::kNull) return frame;
  char* to = record::frame_bytes(context_.arena, frame).data();
  to = std::copy(head.view().begin(), head.view().end(), to);
  to = std::copy(payload.begin(), payload.end(), to);
  if (ping.empty()) return frame;
  to = std::copy(ping_head.view().begin(), ping_head.view().end(), to);
  std::copy(ping.begin(), ping.end(), to);
  return frame;
}

}  // namespace beamgate::ws
