#include "worker/http/session.h"

#include <unistd.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/version.h"
#include "worker/http/request_parser.h"
#include "worker/http/status.h"

namespace beamgate::http {
namespace {

using metrics::Metric;

constexpr size_t kFileCopiedBytes = 32 << 10;
constexpr uint64_t kFileBytesPerTurn = 1 << 20;
constexpr size_t kHeadCapacityKept = 8 << 10;

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

// --- The request.

void Session::begin_request(record::ConnId connection, uint32_t number, std::string_view head) {
  connection_ = connection;
  number_ = number;
  started_us_ = monotonic_us();
  head_.assign(head);
}

void Session::begin_body() {
  body_ = BodyReader(request_, request_.location->body_bytes_max);
  body_state_ = body_.complete() ? BodyState::Complete : BodyState::Reading;
  continue_due_ = request_.expect_continue && body_state_ == BodyState::Reading;
}

void Session::run(Handler& handler) {
  const Busy busy(*this);
  handler.handle(*this);
  if (!live()) return;
  if (attachment_ == nullptr && response_ == ResponseState::Pending) return respond_status(500);
  if (body_state_ == BodyState::Complete) {
    give_body_end();
    return wait_for_handler();
  }
  if (continue_due_) send_continue();
  arm_deadline();
}

void Session::give_body_end() {
  if (attachment_ == nullptr || end_delivered_) return;
  end_delivered_ = true;
  attachment_->on_body_end();
}

// The request is whole and its answer is still to come: nothing more is read until then.
void Session::wait_for_handler() {
  if (!live()) return;
  parts_.connections.pause(record(), record::kPauseExchange);
  arm_deadline();
}

void Session::hold(int64_t until_ms) {
  held_ = true;
  parts_.connections.pause(record(), record::kPauseExchange);
  arm_deadline();
  owner_.wake_at(*this, until_ms);
}

void Session::release() {
  held_ = false;
  parts_.connections.resume(record(), record::kPauseExchange);
}

void Session::send_continue() {
  continue_due_ = false;
  if (response_ == ResponseState::Pending && !send("HTTP/1.1 100 Continue\r\n\r\n")) cut();
}

size_t Session::take_body(record::Record& record, std::string_view bytes) {
  const Busy busy(*this);
  size_t used = 0;
  while (body_state_ == BodyState::Reading || body_state_ == BodyState::Discarding) {
    const BodyReader::Step step = body_.next(bytes.substr(used));
    used += step.used;
    switch (step.kind) {
      case BodyReader::Step::Kind::NeedMore:
        arm_deadline();
        return used;
      case BodyReader::Step::Kind::Complete:
        end_body();
        return used;
      case BodyReader::Step::Kind::Bad:
        refuse(400);
        return used;
      case BodyReader::Step::Kind::TooLarge:
        refuse(413);
        return used;
      case BodyReader::Step::Kind::Data:
        break;
    }
    size_t taken = 0;
    const bool go_on = give_body(record, step.data, taken);
    used += taken;
    if (body_.complete()) {
      end_body();
      return used;
    }
    if (!go_on) return used;
  }
  return used;
}

// False when no more can be given for now.
bool Session::give_body(record::Record& record, std::string_view data, size_t& taken) {
  resume_asked_ = false;
  const bool wanted = attachment_ != nullptr && body_state_ == BodyState::Reading;
  taken = wanted ? attachment_->on_body(data) : data.size();
  BG_ASSERT(taken <= data.size());
  // Answered while looking at it: the rest of it is not looked at any more.
  if (wanted && response_ > ResponseState::Streaming) taken = data.size();
  body_.took(taken);
  if (body_state_ == BodyState::Discarding) discarded_ += taken;
  if (lost_ || body_state_ == BodyState::Broken) return false;
  if (response_ > ResponseState::Streaming)
    return body_state_ == BodyState::Discarding && next() == Next::Wait;
  if (taken == data.size()) return true;
  if (resume_asked_) {
    // It already wants the rest, but not from within its own call.
    parts_.connections.pause(record, record::kPauseTurn);
    return false;
  }
  body_paused_ = true;
  parts_.connections.pause(record, record::kPauseExchange);
  arm_deadline();
  return false;
}

void Session::end_body() {
  const bool discarding = body_state_ == BodyState::Discarding;
  if (body_state_ == BodyState::Broken) return;
  body_state_ = BodyState::Complete;
  if (discarding || !live()) return;
  give_body_end();
  wait_for_handler();
}

void Session::refuse(uint16_t status, std::vector<ResponseField> fields, std::string text) {
  const Busy busy(*this);
  body_state_ = BodyState::Broken;
  keep_alive_ = false;
  if (response_ != ResponseState::Pending) return cut();
  if (text.empty()) text = std::to_string(status).append(1, ' ').append(reason_phrase(status)).append(1, '\n');
  respond(status, "text/plain", text, std::move(fields));
}

void Session::begin_discard(record::Record& record) {
  body_state_ = BodyState::Discarding;
  body_paused_ = false;
  if (attachment_ != nullptr) retired_.push_back(std::move(attachment_));
  parts_.connections.resume(record, record::kPauseExchange);
  arm_deadline();
}

void Session::resume_body() {
  resume_asked_ = true;
  if (!body_paused_ || lost_) return;
  body_paused_ = false;
  arm_deadline();
  parts_.connections.resume(record(), record::kPauseExchange);
}

void Session::attach(std::unique_ptr<Attachment> attachment) {
  if (attachment_ != nullptr) retired_.push_back(std::move(attachment_));
  attachment_ = std::move(attachment);
}

// --- The response.

record::Record& Session::record() {
  record::Record* found = parts_.connections.find(connection_);
  BG_ASSERT(found != nullptr);
  return *found;
}

bool Session::send(std::string_view head, std::string_view body) {
  return !lost_ && parts_.connections.send(record(), head, body);
}

bool Session::may_keep() const {
  if (!keep_alive_ || !request_.keep_alive || parts_.draining) return false;
  // A client that still waits for "100 Continue" may or may not send its body now: nobody could tell.
  if (body_state_ == BodyState::Broken || continue_due_) return false;
  const uint64_t to_come = body_.remaining();
  if (to_come != UINT64_MAX && to_come > kDrainBytesMax) return false;
  const config::Location& location = *request_.location;
  const record::Record* record = parts_.connections.find(connection_);
  return location.keepalive_timeout_ms > 0 && record->keepalive_count + 1 < location.keepalive_requests;
}

void Session::add_location_fields(ResponseHead& head) {
  if (!takes_added_fields(head.status)) return;
  for (const config::NameValue& added : request_.location->add_headers) {
    std::string value;
    expand(added.value, request_, record(), value);
    if (!value.empty()) head.fields.push_back({added.name, std::move(value)});
  }
}

// Decides how the response is framed, and appends its head.
void Session::write_head(const ResponseHead& head, std::string& out) {
  ResponseContext context;
  context.method = request_.method;
  context.version_minor = request_.version_minor;
  context.keep_alive = may_keep();
  context.date = parts_.date.now();
  context.server = request_.location->server_tokens ? "BeamGate/" BEAMGATE_VERSION : "BeamGate";
  const FramingChoice choice = choose_framing(head, context);
  write_response_head(head, choice, context, out);
  response_ = ResponseState::Streaming;
  status_ = head.status;
  framing_ = choice.framing;
  keep_alive_ = choice.keep_alive;
  length_left_ = choice.framing == Framing::Length ? *head.content_length : 0;
  rate_bytes_ = choice.framing == Framing::NoBody ? 0 : request_.location->limits.rate_bytes;
  rate_since_ms_ = monotonic_ms();
  ++record().keepalive_count;
  parts_.metrics.add(response_metric(head.status));
}

void Session::respond(uint16_t status, std::string_view content_type, std::string_view body,
                      std::vector<ResponseField> fields) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  ResponseHead head{status, std::move(fields), body.size()};
  if (!content_type.empty() && status_has_body(status))
    head.fields.push_back({"Content-Type", std::string(content_type)});
  add_location_fields(head);
  std::string& out = parts_.head_scratch;
  out.clear();
  write_head(head, out);
  if (framing_ == Framing::NoBody) body = {};
  head_bytes_sent_ += out.size();
  body_bytes_sent_ += body.size();
  length_left_ = 0;
  if (rate_bytes_ == 0 ? !send(out, body) : !(send(out) && emit(body))) return cut();
  finishing_ = waiting() > 0;
  if (finishing_) return arm_deadline();
  response_ = ResponseState::Complete;
}

void Session::begin(ResponseHead head) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  add_location_fields(head);
  std::string& out = parts_.head_scratch;
  out.clear();
  write_head(head, out);
  head_bytes_sent_ += out.size();
  if (!send(out)) cut();
}

bool Session::write_framed(std::string_view bytes) {
  if (framing_ == Framing::Length) {
    // More than was promised would be taken for the next response.
    if (bytes.size() > length_left_) return false;
    length_left_ -= bytes.size();
  }
  body_bytes_sent_ += bytes.size();
  if (framing_ != Framing::Chunked) return emit(bytes);
  std::string& out = parts_.head_scratch;
  out.clear();
  write_chunk_size(bytes.size(), out);
  out += bytes;
  out += "\r\n";
  return emit(out);
}

// Body bytes on their way out: at once, or as limit_rate allows.
bool Session::emit(std::string_view bytes) {
  if (rate_bytes_ == 0) return send(bytes);
  waiting_ += bytes;
  return pump_waiting();
}

// nginx's budget: limit_rate_after, a second's worth at once, and then so much for each second.  False: cut.
bool Session::pump_waiting() {
  constexpr int64_t kPause = 50;
  const int64_t now = monotonic_ms();
  const auto elapsed_ms = static_cast<uint64_t>(now - rate_since_ms_) + 1'000;
  const auto earned = static_cast<unsigned __int128>(rate_bytes_) * elapsed_ms / 1'000;
  const auto budget = earned + request_.location->limits.rate_after_bytes;
  const auto allowed = budget > rate_sent_ ? budget - rate_sent_ : 0;
  const size_t queued = parts_.connections.outbound_queued(record());
  const size_t room = queued < kHighWaterBytes ? kHighWaterBytes - queued : 0;
  const size_t wanted = std::min(waiting(), room);
  const size_t part = allowed < wanted ? static_cast<size_t>(allowed) : wanted;
  if (part > 0 && !send(std::string_view(waiting_).substr(waiting_at_, part))) return false;
  rate_sent_ += part;
  waiting_at_ += part;
  if (waiting() == 0) {
    waiting_.clear();
    waiting_at_ = 0;
  } else if (!wake_due_) {
    // A slow reader wakes us as well, by drained(); then there is nothing to do at this time.
    wake_due_ = true;
    owner_.wake_at(*this, now + std::max<int64_t>(kPause, static_cast<int64_t>(1'000 / rate_bytes_)));
  }
  return true;
}

void Session::wake() {
  wake_due_ = false;
  if (!live()) return;
  const Busy busy(*this);
  if (!pump_waiting()) return cut();
  waiting_gone();
}

// What waits for `waiting_` to be sent goes on, if it is.  REQUIRES: a Busy is held.
void Session::waiting_gone() {
  if (waiting() > 0) return;
  if (finishing_) {
    finishing_ = false;
    response_ = ResponseState::Complete;
    return;
  }
  if (file_.file.valid()) return pump_file();
  if (!writer_waits_ || parts_.connections.outbound_queued(record()) >= kHighWaterBytes) return;
  writer_waits_ = false;
  arm_deadline();
  if (attachment_ != nullptr) attachment_->on_writable();
}

bool Session::write(std::string_view bytes) {
  if (response_ != ResponseState::Streaming || lost_) return false;
  if (framing_ == Framing::NoBody || bytes.empty()) return true;
  const Busy busy(*this);
  if (!write_framed(bytes)) {
    cut();
    return false;
  }
  if (waiting() == 0 && parts_.connections.outbound_queued(record()) < kHighWaterBytes) return true;
  writer_waits_ = true;
  arm_deadline();
  return false;
}

void Session::finish() { finish_with_trailers({}); }

void Session::finish_with_trailers(const std::vector<ResponseField>& trailers) {
  if (response_ != ResponseState::Streaming || lost_) return;
  const Busy busy(*this);
  if (length_left_ > 0) return cut();
  if (framing_ == Framing::Chunked) {
    std::string& out = parts_.head_scratch;
    out = "0\r\n";
    for (const ResponseField& field : trailers) write_field(field.name, field.value, out);
    out += "\r\n";
    if (!emit(out)) return cut();
  }
  writer_waits_ = false;
  finishing_ = waiting() > 0;
  if (finishing_) return arm_deadline();
  response_ = ResponseState::Complete;
}

void Session::inform(uint16_t status, const std::vector<ResponseField>& fields) {
  if (response_ != ResponseState::Pending || lost_ || request_.version_minor == 0) return;
  const Busy busy(*this);
  std::string& out = parts_.head_scratch;
  out.clear();
  write_interim_head(status, fields, out);
  if (!send(out)) cut();
}

void Session::finish_with_file(UniqueFd file, uint64_t offset, uint64_t count) {
  if (response_ != ResponseState::Streaming || lost_) return;
  if (framing_ == Framing::NoBody || count == 0) return finish();
  file_ = FileBody{std::move(file), offset, count};
  pump_file();
}

// As much of the file as the connection takes now; drained() goes on.
void Session::pump_file() {
  const Busy busy(*this);
  // A small one leaves with its head in one write; a large one needs no copy.
  const bool copy = file_.remaining <= kFileCopiedBytes || framing_ != Framing::Length || rate_bytes_ > 0;
  const bool sound = copy ? copy_file() : send_file();
  if (!sound) return cut();  // The file has shrunk since its length was promised, or its disk fails.
  if (file_.remaining > 0) return arm_deadline();
  file_ = FileBody{};
  finish();
}

bool Session::copy_file() {
  if (parts_.file_scratch == nullptr) parts_.file_scratch = std::make_unique<char[]>(kFileCopiedBytes);
  char* piece = parts_.file_scratch.get();
  while (file_.remaining > 0 && waiting() == 0 && parts_.connections.outbound_queued(record()) < kHighWaterBytes) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(file_.remaining, kFileCopiedBytes));
    const ssize_t got = pread(file_.file.get(), piece, wanted, static_cast<off_t>(file_.offset));
    if (got <= 0 || !write_framed({piece, static_cast<size_t>(got)})) return false;
    file_.offset += static_cast<uint64_t>(got);
    file_.remaining -= static_cast<uint64_t>(got);
  }
  return true;
}

bool Session::send_file() {
  uint64_t share = kFileBytesPerTurn;
  while (file_.remaining > 0 && share > 0) {
    auto offset = static_cast<off_t>(file_.offset);
    const size_t wanted = static_cast<size_t>(std::min(file_.remaining, share));
    const Result<size_t> sent = parts_.connections.send_file(record(), file_.file.get(), offset, wanted);
    if (!sent.ok()) return sent.error().code == Code::WouldBlock;
    if (sent.value() == 0) return false;
    file_.offset += sent.value();
    file_.remaining -= sent.value();
    length_left_ -= sent.value();
    body_bytes_sent_ += sent.value();
    share -= sent.value();
  }
  // The client is as fast as we are: the others have their turn before it goes on.
  if (file_.remaining > 0) parts_.connections.await_writable(record());
  return true;
}

void Session::abort() {
  if (lost_) return;
  if (response_ == ResponseState::Pending) return respond_status(502);
  if (response_ != ResponseState::Streaming) return;
  const Busy busy(*this);
  cut();
}

void Session::drop() {
  if (!live()) return;
  const Busy busy(*this);
  status_ = 444;
  cut();
}

// REQUIRES: a Busy is held.
void Session::cut() {
  keep_alive_ = false;
  finishing_ = false;
  file_ = FileBody{};
  // A body that only the end of the connection delimits would seem whole.
  reset_ = response_ == ResponseState::Streaming && framing_ == Framing::UntilClose && !tunnel_;
  response_ = ResponseState::Cut;
}

// REQUIRES: a Busy is held.
bool Session::send_switching(const std::vector<ResponseField>& fields) {
  if (body_state_ != BodyState::Complete) return refuse(400), false;
  std::string& out = parts_.head_scratch;
  out.clear();
  write_switching_head(fields, request_.location->server_tokens ? "BeamGate/" BEAMGATE_VERSION : "BeamGate",
                       out);
  if (!send(out)) return cut(), false;
  head_bytes_sent_ += out.size();
  status_ = 101;
  return true;
}

void Session::upgrade(const std::vector<ResponseField>& fields, record::Phase phase) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (!send_switching(fields)) return;
  response_ = ResponseState::Upgraded;
  owner_.hand_over(*this, phase);
}

void Session::tunnel(const std::vector<ResponseField>& fields) {
  if (response_ != ResponseState::Pending || lost_) return;
  const Busy busy(*this);
  if (!send_switching(fields)) return;
  response_ = ResponseState::Streaming;
  framing_ = Framing::UntilClose;
  tunnel_ = true;
  keep_alive_ = false;
  body_ = BodyReader::endless();
  body_state_ = BodyState::Reading;
  end_delivered_ = false;
  arm_deadline();
  parts_.connections.resume(record(), record::kPauseExchange);
}

// --- Events of the connection.

void Session::drained() {
  if (!live()) return;
  const Busy busy(*this);
  if (waiting() > 0 && !pump_waiting()) return cut();
  waiting_gone();
}

// What the client has to do next, and until when; a handler's own waiting is its own business.
void Session::arm_deadline() {
  if (lost_) return;
  int64_t wait_ms = 0;
  if (held_) {
    wait_ms = 0;
  } else if (sending()) {
    wait_ms = request_.location->send_timeout_ms;
    sent_mark_ = record().bytes_sent;
  } else if (tunnel_) {
    wait_ms = 0;  // Its attachment knows how long it may be silent.
  } else if (body_state_ == BodyState::Discarding || (body_state_ == BodyState::Reading && !body_paused_)) {
    wait_ms = request_.location->body_timeout_ms;
  }
  parts_.connections.set_deadline(record(), wait_ms == 0 ? 0 : monotonic_ms() + wait_ms);
}

void Session::deadline_passed() {
  const Busy busy(*this);
  if (sending()) {
    if (record().bytes_sent > sent_mark_) return arm_deadline();
    cut();
    reset_ = true;  // It doesn't read: what is queued is not worth keeping.
    return;
  }
  if (response_ == ResponseState::Pending) return refuse(408);
  keep_alive_ = false;
  body_state_ = BodyState::Broken;
  if (response_ == ResponseState::Streaming) cut();
}

void Session::peer_closed() {
  const Busy busy(*this);
  keep_alive_ = false;
  if (body_state_ == BodyState::Complete) return;
  if (tunnel_) {
    body_state_ = BodyState::Complete;
    return give_body_end();
  }
  if (response_ == ResponseState::Pending) return refuse(400);
  body_state_ = BodyState::Broken;
  if (response_ == ResponseState::Streaming) cut();
}

Session::Next Session::next() const {
  if (lost_) return Next::LetGo;
  switch (response_) {
    case ResponseState::Pending:
    case ResponseState::Streaming:
      return Next::Wait;
    case ResponseState::Upgraded:
      return Next::LetGo;
    case ResponseState::Cut:
      return reset_ ? Next::Reset : Next::Close;
    case ResponseState::Complete:
      break;
  }
  if (!keep_alive_ || discarded_ > kDrainBytesMax) return Next::Close;
  switch (body_state_) {
    case BodyState::Complete:
      return Next::Keep;
    case BodyState::Reading:
      return Next::Discard;
    case BodyState::Discarding:
      return Next::Wait;
    case BodyState::Broken:
      break;
  }
  return Next::Close;
}

void Session::clear() {
  BG_ASSERT(busy_ == 0);
  attachment_.reset();
  retired_.clear();
  reset(request_);
  if (head_.capacity() > kHeadCapacityKept) head_ = std::string();
  number_ = 0;
  body_ = BodyReader();
  body_state_ = BodyState::Complete;
  response_ = ResponseState::Pending;
  framing_ = Framing::NoBody;
  status_ = 0;
  keep_alive_ = true;
  lost_ = tunnel_ = reset_ = end_delivered_ = body_paused_ = resume_asked_ = continue_due_ = writer_waits_ = false;
  held_ = finishing_ = wake_due_ = false;
  rate_bytes_ = rate_sent_ = 0;
  rate_since_ms_ = 0;
  waiting_ = std::string();
  waiting_at_ = 0;
  length_left_ = discarded_ = head_bytes_sent_ = body_bytes_sent_ = sent_mark_ = 0;
  file_ = FileBody{};
}

}  // namespace beamgate::http
