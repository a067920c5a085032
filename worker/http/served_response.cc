// The response of a served exchange: its head, its body on the way to framing, its end.
#include <unistd.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/version.h"
#include "worker/http/served_exchange.h"
#include "worker/http/status.h"

namespace beamgate::http {
namespace {

using metrics::Metric;

constexpr size_t kFileCopiedBytes = 32 << 10;
constexpr uint64_t kFileZippedPerTurn = 256 << 10;  // Some milliseconds of work.

Metric response_metric(uint16_t status) {
  if (status < 300) return Metric::HttpResponses2xx;
  if (status < 400) return Metric::HttpResponses3xx;
  return status < 500 ? Metric::HttpResponses4xx : Metric::HttpResponses5xx;
}

// nginx adds add_header fields to these only.
bool takes_added_fields(uint16_t status) {
  switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
      return true;
    default:
      return false;
  }
}

}  // namespace

// What the handler has left to the configuration.
void ServedExchange::decide_head(ResponseHead& head) {
  if (answer_status_ != 0) head.status = answer_status_;
  add_location_fields(head);
  gzip_.begin(parts_.gzip_streams, parts_.metrics, request_, head);
}

void ServedExchange::add_location_fields(ResponseHead& head) {
  trace_sent(head.fields);  // The values may ask for them.
  const bool usual = takes_added_fields(head.status);
  for (const config::NameValue& added : request_.location->add_headers) {
    if (!usual && !added.always) continue;
    std::string value;
    expand(added.value, request_, record(), value);
    if (!value.empty()) head.fields.push_back({added.name, std::move(value)});
  }
}

// False: nobody asks for them.
bool ServedExchange::trace_sent(const std::vector<ResponseField>& fields) {
  if (request_.config == nullptr || !request_.config->http.traces_sent_fields) return false;
  request_.trace.sent_fields = fields;
  return true;
}

// As they are sent, with those that frame the response.
void ServedExchange::trace_sent(const ResponseHead& head, const FramingChoice& choice) {
  if (!trace_sent(head.fields)) return;
  std::vector<ResponseField>& sent = request_.trace.sent_fields;
  const bool may_have_length = head.status == 304 || status_has_body(head.status);
  if (choice.framing != Framing::Chunked && head.content_length.has_value() && may_have_length) {
    sent.push_back({"Content-Length", std::to_string(*head.content_length)});
  }
  if (request_.http2) return;
  if (choice.framing == Framing::Chunked) sent.push_back({"Transfer-Encoding", "chunked"});
  sent.push_back({"Connection", choice.keep_alive ? "keep-alive" : "close"});
}

ResponseContext ServedExchange::response_context() {
  ResponseContext context;
  context.method = request_.method;
  context.version_minor = request_.version_minor;
  context.date = parts_.date.now();
  context.server = request_.location->server_tokens ? "BeamGate/" BEAMGATE_VERSION : "BeamGate";
  context.keep_alive_s = request_.location->keepalive_header_ms / 1'000;
  return context;
}

// The head on its way, with a body that is whole behind it where `ends` says so.
bool ServedExchange::start_response(ResponseHead& head, std::string_view body, bool ends) {
  decide_head(head);
  head.status = fit_status(head.status);
  std::string zipped;
  if (ends && gzip_.active()) {
    gzip_.compress_whole(body, head, zipped);
    body = zipped;
  }
  ResponseContext context = response_context();
  context.keep_alive = keep_alive_ && may_keep();
  const FramingChoice choice = choose_framing(head, context);
  context.keep_alive = keep_alive_ = choice.keep_alive;
  trace_sent(head, choice);
  response_ = ResponseState::Streaming;
  status_ = head.status;
  framing_ = choice.framing;
  length_left_ = choice.framing == Framing::Length ? *head.content_length : 0;
  const config::Limits& limits = request_.location->limits;
  if (framing_ != Framing::NoBody) paced_ = PacedBytes(limits.rate_bytes, limits.rate_after_bytes, monotonic_ms());
  ++record().keepalive_count;
  parts_.metrics.add(response_metric(head.status));
  if (framing_ == Framing::NoBody) body = {};
  if (!ends) return send_head(head, context, {}, framing_ == Framing::NoBody);
  body_bytes_sent_ += body.size();
  length_left_ = 0;
  if (!paced_.limited()) return send_head(head, context, body, true);
  return send_head(head, context, {}, false) && emit(body) && frame_end({});
}

void ServedExchange::respond(uint16_t status, std::string_view content_type, std::string_view body,
                             std::vector<ResponseField> fields) {
  if (response_ != ResponseState::Pending || lost_) return;
  if (const uint16_t fitting = fit_status(status); fitting != status) {  // These words are not of a refusal.
    return respond(fitting, "text/plain", "No WebSocket is served here.\n", {});
  }
  const Busy busy(*this);
  ResponseHead head{status, std::move(fields), body.size()};
  if (!content_type.empty() && status_has_body(status))
    head.fields.push_back({"Content-Type", std::string(content_type)});
  if (!start_response(head, body, true)) return cut();
  end_response();
}

bool ServedExchange::has_error_page(uint16_t status) {
  return response_ == ResponseState::Pending && !lost_ && parts_.error_pages != nullptr &&
         parts_.error_pages->has_page(*this, status);
}

void ServedExchange::respond_status(uint16_t status) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (parts_.error_pages != nullptr && parts_.error_pages->show_page(*this, status)) return;
  answer_status_ = 0;
  Exchange::respond_status(status);
}

void ServedExchange::begin(ResponseHead head) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (!start_response(head, {}, false)) cut();
}

// Every byte of a streamed body, in order.
bool ServedExchange::write_body(std::string_view bytes, bool more_follows) {
  if (!gzip_.active()) return write_coded(bytes);
  return gzip_.write(bytes, more_follows, [this](std::string_view piece) { return write_coded(piece); });
}

bool ServedExchange::write_coded(std::string_view bytes) {
  if (framing_ == Framing::Length) {
    // More than was promised would be taken for the next response.
    if (bytes.size() > length_left_) return false;
    length_left_ -= bytes.size();
  }
  body_bytes_sent_ += bytes.size();
  return frame_body(bytes);
}

// Framed bytes on their way out: at once, or as limit_rate allows.
bool ServedExchange::emit(std::string_view framed) {
  if (!paced_.limited()) return send_bytes(framed);
  paced_.add(framed);
  return pump_paced();
}

bool ServedExchange::pump_paced() {
  const int64_t now = monotonic_ms();
  const size_t in_queue = queued();
  const size_t room = in_queue < kHighWaterBytes ? kHighWaterBytes - in_queue : 0;
  const std::string_view part = paced_.allowed(now, room);
  if (!part.empty() && !send_bytes(part)) return false;
  paced_.went(part.size());
  if (waiting() > 0 && !wake_due_) {
    // A slow reader wakes us as well, by drained(); then there is nothing to do at this time.
    wake_due_ = true;
    parts_.wakes.add(paced_.next_ms(now), id());
  }
  return true;
}

void ServedExchange::wake() {
  wake_due_ = false;
  if (!live()) return;
  const Busy busy(*this);
  if (is_abandoned()) return cut();
  if (!pump_paced()) return cut();
  room_again();
}

// What waits for room goes on, if there is some.  REQUIRES: a Busy is held.
void ServedExchange::room_again() {
  if (waiting() > 0) return;
  if (finishing_) {
    if (!all_gone()) return;
    finishing_ = false;
    response_ = ResponseState::Complete;
    return;
  }
  if (file_.file.valid()) return pump_file();
  if (!writer_waits_ || !has_room()) return;
  writer_waits_ = false;
  arm_deadline();
  if (attachment_ != nullptr) attachment_->on_writable();
}

bool ServedExchange::write(std::string_view bytes) {
  if (response_ != ResponseState::Streaming || lost_) return false;
  if (framing_ == Framing::NoBody || bytes.empty()) return true;
  const Busy busy(*this);
  if (!write_body(bytes, false)) {
    cut();
    return false;
  }
  if (has_room()) return true;
  writer_waits_ = true;
  arm_deadline();
  return false;
}

void ServedExchange::finish() { finish_with_trailers({}); }

void ServedExchange::finish_with_trailers(const std::vector<ResponseField>& trailers) {
  if (response_ != ResponseState::Streaming || lost_) return;
  const Busy busy(*this);
  if (gzip_.active() && !gzip_.finish([this](std::string_view piece) { return write_coded(piece); })) return cut();
  if (length_left_ > 0 || !frame_end(trailers)) return cut();
  end_response();
}

// All of it is on its way.  REQUIRES: a Busy is held.
void ServedExchange::end_response() {
  writer_waits_ = false;
  finishing_ = !all_gone();
  if (finishing_) {
    if (body_state_ == BodyState::Complete) stop_reading();  // Until the next request's turn has come.
    return arm_deadline();
  }
  response_ = ResponseState::Complete;
}

void ServedExchange::inform(uint16_t status, const std::vector<ResponseField>& fields) {
  if (response_ != ResponseState::Pending || lost_ || request_.version_minor == 0) return;
  const Busy busy(*this);
  if (!send_interim(status, fields)) cut();
}

void ServedExchange::finish_with_file(UniqueFd file, uint64_t offset, uint64_t count) {
  if (response_ != ResponseState::Streaming || lost_) return;
  if (framing_ == Framing::NoBody || count == 0) return finish();
  file_ = FileBody{std::move(file), offset, count};
  pump_file();
}

// As much of the file as the connection takes now; drained() goes on.
void ServedExchange::pump_file() {
  const Busy busy(*this);
  // A small one leaves with its head in one write; a large one needs no copy.
  const bool copy = file_.remaining <= kFileCopiedBytes || framing_ != Framing::Length || paced_.limited() ||
                    !sends_files();
  const bool sound = copy ? copy_file() : send_file();
  if (!sound) return cut();  // The file has shrunk since its length was promised, or its disk fails.
  if (file_.remaining > 0) return arm_deadline();
  file_ = FileBody{};
  finish();
}

bool ServedExchange::copy_file() {
  if (parts_.file_scratch == nullptr) parts_.file_scratch = std::make_unique<char[]>(kFileCopiedBytes);
  char* piece = parts_.file_scratch.get();
  uint64_t share = gzip_.active() ? kFileZippedPerTurn : UINT64_MAX;
  while (file_.remaining > 0 && has_room()) {
    if (share == 0) return take_turns(), true;
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(file_.remaining, kFileCopiedBytes));
    const ssize_t got = pread(file_.file.get(), piece, wanted, static_cast<off_t>(file_.offset));
    if (got <= 0 || !write_body({piece, static_cast<size_t>(got)}, true)) return false;
    share -= std::min(share, static_cast<uint64_t>(got));
    file_.offset += static_cast<uint64_t>(got);
    file_.remaining -= static_cast<uint64_t>(got);
  }
  return true;
}

// The client is as fast as we compress: the others have their turn before it goes on.
void ServedExchange::take_turns() {
  if (wake_due_) return;
  wake_due_ = true;
  parts_.wakes.add(monotonic_ms() + 1, id());
}

void ServedExchange::abort() {
  if (lost_) return;
  if (response_ == ResponseState::Pending) return respond_status(502);
  if (response_ != ResponseState::Streaming) return;
  const Busy busy(*this);
  cut();
}

void ServedExchange::drop() {
  if (!live()) return;
  const Busy busy(*this);
  status_ = 444;
  cut();
}

// REQUIRES: a Busy is held.
void ServedExchange::cut() {
  keep_alive_ = false;
  finishing_ = false;
  file_ = FileBody{};
  gzip_.end();
  // A body that only the end of the connection delimits would seem whole.
  reset_ = response_ == ResponseState::Streaming && framing_ == Framing::UntilClose && !tunnel_;
  response_ = ResponseState::Cut;
}

// REQUIRES: a Busy is held.
bool ServedExchange::switch_protocols(const std::vector<ResponseField>& fields) {
  if (body_state_ != BodyState::Complete) return refuse(400), false;
  ResponseHead head{.status = 101, .fields = fields};
  add_location_fields(head);
  trace_sent(head.fields);
  if (!send_switching(head.fields)) return cut(), false;
  status_ = 101;
  return true;
}

void ServedExchange::upgrade(const std::vector<ResponseField>& fields, record::Phase phase) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (!switch_protocols(fields)) return;
  response_ = ResponseState::Upgraded;
  hand_over(phase);
}

record::Record* ServedExchange::leave(ResponseHead head, record::Phase phase,
                                      const std::function<void(record::Record&)>& prepare) {
  if (response_ != ResponseState::Pending || lost_) return nullptr;
  const Busy busy(*this);
  if (body_state_ != BodyState::Complete) return refuse(400), nullptr;
  if (answer_status_ != 0) head.status = answer_status_;
  if (fit_status(head.status) != head.status) return respond_status(fit_status(head.status)), nullptr;
  if (!part()) return respond_status(503), nullptr;
  add_location_fields(head);
  status_ = head.status;
  framing_ = Framing::UntilClose;
  ResponseContext context = response_context();
  context.keep_alive = keep_alive_ = false;
  trace_sent(head, {framing_, false});
  parts_.metrics.add(response_metric(head.status));
  if (!send_head(head, context, {}, false)) return cut(), nullptr;
  response_ = ResponseState::Upgraded;
  const record::ConnId left = connection_;
  prepare(record());
  hand_over(phase);
  return parts_.connections.find(left);
}

record::Record* ServedExchange::postpone(std::vector<ResponseField> fields, record::Phase phase,
                                         const Prepare& prepare) {
  if (response_ != ResponseState::Pending || lost_ || !can_postpone() || body_state_ != BodyState::Complete) {
    return nullptr;
  }
  const Busy busy(*this);
  ResponseHead head{answer_status_ == 0 ? uint16_t{200} : answer_status_, std::move(fields)};
  add_location_fields(head);
  Postponed postponed{.keep_alive = keep_alive_ && may_keep()};
  write_field("Server", response_context().server, postponed.fields);
  for (const ResponseField& field : head.fields) write_field(field.name, field.value, postponed.fields);
  trace_sent(head.fields);
  status_ = head.status;
  response_ = ResponseState::Upgraded;
  ++record().keepalive_count;
  parts_.metrics.add(response_metric(head.status));
  const record::ConnId left = connection_;
  prepare(record(), postponed);
  hand_over(phase);
  return parts_.connections.find(left);
}

void ServedExchange::tunnel(const std::vector<ResponseField>& fields) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (!switch_protocols(fields)) return;
  response_ = ResponseState::Streaming;
  framing_ = Framing::UntilClose;
  tunnel_ = true;
  keep_alive_ = false;
  body_state_ = BodyState::Reading;
  end_delivered_ = false;
  arm_deadline();
  open_tunnel();
}

}  // namespace beamgate::http
