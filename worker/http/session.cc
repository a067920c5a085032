#include "worker/http/session.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/version.h"

namespace beamgate::http {
namespace {

constexpr uint64_t kFileBytesPerTurn = 1 << 20;
constexpr size_t kHeadCapacityKept = 8 << 10;

}  // namespace

const record::Record& Session::its_record() const {
  const record::Record* found = parts_.connections.find(connection());
  BG_ASSERT(found != nullptr);
  return *found;
}

// --- The request.

void Session::begin(record::ConnId connection, uint32_t number, std::string_view head) {
  begin_request(connection, number, head.size());
  head_.assign(head);
}

void Session::begin_body() {
  ServedExchange::begin_body();
  body_ = BodyReader(request_, request_.location->body_bytes_max);
}

size_t Session::take_body(record::Record&, std::string_view bytes) {
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
    bool go_on = false;
    used += give_body(step.data, go_on);
    if (body_.complete()) {
      end_body();
      return used;
    }
    if (!go_on) return used;
  }
  return used;
}

void Session::stop_reading() { parts_.connections.pause(record(), record::kPauseExchange); }

void Session::go_on_reading() { parts_.connections.resume(record(), record::kPauseExchange); }

void Session::go_on_reading_later() { parts_.connections.pause(record(), record::kPauseTurn); }

void Session::set_deadline(int64_t at_ms) { parts_.connections.set_deadline(record(), at_ms); }

bool Session::count_for(uint64_t key, uint32_t limit) { return parts_.connections.count_for(record(), key, limit); }

void Session::uncount() { parts_.connections.uncount(record()); }

// --- The response.

bool Session::send(std::string_view head, std::string_view body) {
  return !lost_ && parts_.connections.send(record(), head, body);
}

bool Session::send_bytes(std::string_view framed) {
  return !lost_ && parts_.connections.send_through(record(), framed);
}

size_t Session::queued() const { return parts_.connections.outbound_queued(its_record()); }

uint64_t Session::progress() const { return its_record().bytes_sent; }

bool Session::may_keep() const {
  if (!request_.keep_alive || parts_.draining) return false;
  // A client that still waits for "100 Continue" may or may not send its body now: nobody could tell.
  if (body_state_ == BodyState::Broken || continue_due_) return false;
  const uint64_t to_come = body_.remaining();
  if (to_come != UINT64_MAX && to_come > kDrainBytesMax) return false;
  const config::Location& location = *request_.location;
  return location.keepalive_timeout_ms > 0 && its_record().keepalive_count + 1 < location.keepalive_requests;
}

bool Session::send_head(const ResponseHead& head, const ResponseContext& context, std::string_view body, bool) {
  std::string& out = parts_.head_scratch;
  out.clear();
  write_response_head(head, FramingChoice{framing_, keep_alive_}, context, out);
  head_bytes_sent_ += out.size();
  return send(out, body);
}

bool Session::send_interim(uint16_t status, const std::vector<ResponseField>& fields) {
  std::string& out = parts_.head_scratch;
  out.clear();
  write_interim_head(status, fields, out);
  return send(out);
}

bool Session::send_continue() { return send("HTTP/1.1 100 Continue\r\n\r\n"); }

bool Session::frame_body(std::string_view bytes) {
  if (framing_ != Framing::Chunked) return emit(bytes);
  std::string& out = parts_.head_scratch;
  out.clear();
  write_chunk_size(bytes.size(), out);
  out += bytes;
  out += "\r\n";
  return emit(out);
}

bool Session::frame_end(const std::vector<ResponseField>& trailers) {
  if (framing_ != Framing::Chunked) return true;
  std::string& out = parts_.head_scratch;
  out = "0\r\n";
  for (const ResponseField& field : trailers) write_field(field.name, field.value, out);
  out += "\r\n";
  return emit(out);
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

bool Session::send_switching(const std::vector<ResponseField>& fields) {
  std::string& out = parts_.head_scratch;
  out.clear();
  write_switching_head(fields, request_.location->server_tokens ? "BeamGate/" BEAMGATE_VERSION : "BeamGate", out);
  head_bytes_sent_ += out.size();
  return send(out);
}

void Session::open_tunnel() {
  body_ = BodyReader::endless();
  go_on_reading();
}

void Session::clear() {
  ServedExchange::clear();
  if (head_.capacity() > kHeadCapacityKept) head_ = std::string();
  body_ = BodyReader();
}

}  // namespace beamgate::http
