#include "worker/http/served_exchange.h"

#include "common/base/clock.h"
#include "worker/http/request_parser.h"
#include "worker/http/status.h"

namespace beamgate::http {

using metrics::Metric;

record::Record& ServedExchange::record() {
  record::Record* found = parts_.connections.find(connection_);
  BG_ASSERT(found != nullptr);
  return *found;
}

// --- The request.

void ServedExchange::begin_request(record::ConnId connection, uint32_t number, size_t head_bytes) {
  connection_ = connection;
  number_ = number;
  started_us_ = monotonic_us();
  request_head_bytes_ = head_bytes;
}

void ServedExchange::begin_body() {
  body_state_ = request_.has_body() ? BodyState::Reading : BodyState::Complete;
  continue_due_ = request_.expect_continue && body_state_ == BodyState::Reading;
}

void ServedExchange::run(Handler& handler) {
  const Busy busy(*this);
  was_run_ = true;
  handler.handle(*this);
  if (!live()) return;
  if (attachment_ == nullptr && response_ == ResponseState::Pending) return respond_status(500);
  if (!give_body_again()) {
    body_paused_ = true;
    return wait_for_handler();
  }
  if (body_state_ == BodyState::Complete || body_forgotten_) {
    give_body_end();
    return wait_for_handler();
  }
  if (continue_due_) {
    continue_due_ = false;
    if (response_ == ResponseState::Pending && !send_continue()) cut();
  }
  arm_deadline();
}

void ServedExchange::give_body_end() {
  if (attachment_ == nullptr || end_delivered_) return;
  end_delivered_ = true;
  attachment_->on_body_end();
}

// The request is whole and its answer is still to come: nothing more is read until then.
void ServedExchange::wait_for_handler() {
  if (!live()) return;
  stop_reading();
  arm_deadline();
}

bool ServedExchange::has_whole_body() const {
  if (!request_.has_body()) return true;
  if (body_state_ == BodyState::Broken) return false;
  return received_ == 0 || (attachment_ != nullptr && body_again_.empty() && attachment_->body_so_far().has_value());
}

// What was taken so far, to be taken once more.  False: the handler wants to go on later.
bool ServedExchange::give_body_again() {
  if (body_again_.empty() || attachment_ == nullptr) return true;
  std::string body = std::move(body_again_);
  body_again_.clear();
  do {
    resume_asked_ = false;
    const size_t taken = attachment_->on_body(body);
    BG_ASSERT(taken <= body.size());
    if (!live()) return true;
    body.erase(0, taken);
  } while (!body.empty() && resume_asked_);
  body_again_ = std::move(body);
  return body_again_.empty();
}

void ServedExchange::run_again(WithBody with_body) {
  if (with_body == WithBody::Yes && received_ > 0) body_again_ = *attachment_->body_so_far();
  if (attachment_ != nullptr) retired_.push_back(std::move(attachment_));
  end_delivered_ = writer_waits_ = false;
  was_run_ = true;  // How the body ends has been read from the head already.
  if (with_body == WithBody::Yes) {
    if (body_paused_) go_on_reading();
    body_paused_ = false;
    return;
  }
  body_again_.clear();
  body_forgotten_ = true;
  request_.content_length.reset();
  request_.chunked = false;
}

void ServedExchange::hold(int64_t until_ms) {
  held_ = true;
  stop_reading();
  arm_deadline();
  parts_.wakes.add(until_ms, id());
}

void ServedExchange::release() {
  held_ = false;
  if (gone_since_ms_ != 0) wait_for_gone();
  go_on_reading();
}

size_t ServedExchange::give_body(std::string_view data, bool& go_on) {
  resume_asked_ = go_on = false;
  const bool wanted = attachment_ != nullptr && body_state_ == BodyState::Reading && !body_forgotten_;
  size_t taken = wanted ? attachment_->on_body(data) : data.size();
  BG_ASSERT(taken <= data.size());
  // Answered while looking at it: the rest of it is not looked at any more.
  if (wanted && response_ > ResponseState::Streaming) taken = data.size();
  received_ += taken;
  took_body(taken);
  if (body_state_ == BodyState::Discarding) discarded_ += taken;
  if (lost_ || body_state_ == BodyState::Broken) return taken;
  if (response_ > ResponseState::Streaming) {
    go_on = body_state_ == BodyState::Discarding && next() == Next::Wait;
    return taken;
  }
  go_on = taken == data.size();
  if (go_on) return taken;
  if (resume_asked_) {
    // It already wants the rest, but not from within its own call.
    go_on_reading_later();
    return taken;
  }
  body_paused_ = true;
  stop_reading();
  arm_deadline();
  return taken;
}

void ServedExchange::end_body() {
  const bool discarding = body_state_ == BodyState::Discarding;
  if (body_state_ == BodyState::Broken) return;
  body_state_ = BodyState::Complete;
  if (discarding || !live()) return;
  give_body_end();
  wait_for_handler();
}

void ServedExchange::refuse(Metric why, uint16_t status, std::vector<ResponseField> fields, std::string text) {
  parts_.metrics.add(why);
  turn_away(status, std::move(fields), std::move(text));
}

void ServedExchange::refuse(uint16_t status) {
  const bool too_large = status == 413 || status == 414 || status == 431;
  refuse(status == 408 ? Metric::RequestsRefusedTimeout
         : too_large   ? Metric::RequestsRefusedTooLarge
                       : Metric::RequestsRefusedMalformed,
         status);
}

void ServedExchange::turn_away(uint16_t status, std::vector<ResponseField> fields, std::string text) {
  const Busy busy(*this);
  body_state_ = BodyState::Broken;
  keep_alive_ = false;
  if (response_ != ResponseState::Pending) return cut();
  if (text.empty() && has_error_page(status)) return respond_status(status);
  if (text.empty()) text = std::to_string(status).append(1, ' ').append(reason_phrase(status)).append(1, '\n');
  respond(status, "text/plain", text, std::move(fields));
}

void ServedExchange::discard_rest() {
  body_state_ = BodyState::Discarding;
  body_paused_ = false;
  if (attachment_ != nullptr) retired_.push_back(std::move(attachment_));
  go_on_reading();
  arm_deadline();
}

void ServedExchange::resume_body() {
  resume_asked_ = true;
  if (!body_paused_ || lost_) return;
  if (!body_again_.empty()) {
    const Busy busy(*this);
    if (!give_body_again()) return;
    body_paused_ = false;
    if (body_state_ == BodyState::Complete && live()) return give_body_end();
  }
  body_paused_ = false;
  arm_deadline();
  go_on_reading();
}

void ServedExchange::attach(std::unique_ptr<Attachment> attachment) {
  if (attachment_ != nullptr) retired_.push_back(std::move(attachment_));
  attachment_ = std::move(attachment);
}

// --- Events of the connection.

void ServedExchange::drained() {
  if (!live()) return;
  const Busy busy(*this);
  if (waiting() > 0 && !pump_paced()) return cut();
  room_again();
}

// What the client has to do next, and until when; a handler's own waiting is its own business.
void ServedExchange::arm_deadline() {
  if (lost_) return;
  int64_t wait_ms = 0;
  if (held_) {
    wait_ms = 0;
  } else if (sending()) {
    wait_ms = request_.location->send_timeout_ms;
    sent_mark_ = progress();
  } else if (tunnel_) {
    wait_ms = 0;  // Its attachment knows how long it may be silent.
  } else if (body_state_ == BodyState::Discarding || (body_state_ == BodyState::Reading && !body_paused_)) {
    wait_ms = request_.location->body_timeout_ms;
  }
  set_deadline(wait_ms == 0 ? 0 : monotonic_ms() + wait_ms);
}

void ServedExchange::deadline_passed() {
  const Busy busy(*this);
  if (sending()) {
    if (progress() > sent_mark_) return arm_deadline();
    parts_.metrics.add(Metric::ClosesSendTimeout);
    cut();
    reset_ = true;  // It doesn't read: what is queued is not worth keeping.
    return;
  }
  if (response_ == ResponseState::Pending) return refuse(408);
  keep_alive_ = false;
  body_state_ = BodyState::Broken;
  if (response_ == ResponseState::Streaming) cut();
}

void ServedExchange::peer_closed() {
  const Busy busy(*this);
  keep_alive_ = false;
  if (body_state_ == BodyState::Complete) return;
  if (tunnel_) {
    body_state_ = BodyState::Complete;
    return give_body_end();
  }
  if (response_ == ResponseState::Pending) return turn_away(400);  // The client's own doing.
  body_state_ = BodyState::Broken;
  if (response_ == ResponseState::Streaming) cut();
}

void ServedExchange::peer_gone() {
  if (!live() || tunnel_ || gone_since_ms_ != 0 || body_state_ != BodyState::Complete) return;
  wait_for_gone();
}

// One that is held has a moment to be woken already, and waits from then on.
void ServedExchange::wait_for_gone() {
  gone_since_ms_ = monotonic_ms();
  gone_mark_ = progress();
  if (!held_) parts_.wakes.add(gone_since_ms_ + kHalfClosedMs, id());
}

// What is sent to a client that has gone is answered with a reset; until something is, nobody knows.
bool ServedExchange::is_abandoned() {
  if (gone_since_ms_ == 0 || monotonic_ms() < gone_since_ms_ + kHalfClosedMs) return false;
  if (attachment_ != nullptr) {
    if (attachment_->outlives_client()) return false;
    if (!sending() && progress() == gone_mark_) return true;
  }
  wait_for_gone();
  return false;
}

ServedExchange::Next ServedExchange::next() const {
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

bool ServedExchange::is_last() const {
  // Behind a body some clients send a stray line end.
  const bool no_body = !request_.chunked && request_.content_length.value_or(0) == 0;
  return body_state_ == BodyState::Complete && no_body && !request_.keep_alive;
}

void ServedExchange::clear() {
  BG_ASSERT(busy_ == 0);
  attachment_.reset();
  retired_.clear();
  reset(request_);
  number_ = 0;
  body_state_ = BodyState::Complete;
  response_ = ResponseState::Pending;
  framing_ = Framing::NoBody;
  status_ = 0;
  keep_alive_ = true;
  lost_ = tunnel_ = reset_ = end_delivered_ = body_paused_ = resume_asked_ = continue_due_ = writer_waits_ = false;
  held_ = finishing_ = wake_due_ = body_forgotten_ = was_run_ = false;
  answer_status_ = 0;
  body_again_.clear();
  gzip_.end();
  paced_ = PacedBytes();
  gone_since_ms_ = 0;
  length_left_ = received_ = discarded_ = head_bytes_sent_ = body_bytes_sent_ = sent_mark_ = gone_mark_ = 0;
  file_ = FileBody{};
}

}  // namespace beamgate::http
