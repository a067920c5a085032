// WebSocket frames: messages, control frames and failures are the same wherever the bytes are cut, and are those of a
// plain reading of RFC 6455 sections 5 and 8.1; nothing stays allocated.
// Input: a byte (1: compression is negotiated), then a client's frames.
#include <optional>

#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/ws/close_code.h"
#include "worker/ws/message_reader.h"
#include "worker/ws/utf8_stream.h"

namespace beamgate::fuzz {
namespace {

using Kind = ws::Step::Kind;

constexpr uint64_t kMessageBytesMax = 4096;

std::string line(std::string_view what, std::string_view payload) {
  return std::string(what) + ' ' + to_hex(payload) + '\n';
}
std::string_view name_of(ws::Opcode opcode, bool compressed) {
  const bool text = opcode == ws::Opcode::Text;
  return compressed ? (text ? "text compressed" : "binary compressed") : text ? "text" : "binary";
}

record::Arena& arena() {
  static record::Arena one = std::move(record::Arena::map({}, 1)).value();
  return one;
}

// As the session does it: what is left over comes again, with more behind it.
std::string read(std::string_view bytes, bool compression, Cut cut) {
  static ws::MessageReader reader(arena());
  record::Record& record = arena().records()[0];
  record = record::Record{};
  const ws::MessageLimits limits{.message_bytes_max = kMessageBytesMax, .compression = compression};
  std::string log, carry;
  bool over = false;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    carry += piece;
    std::vector<char> own(carry.begin(), carry.end());
    size_t used = 0;
    while (!over) {
      const ws::Step step = reader.read(record, std::span(own).subspan(used), limits);
      BG_ASSERT(step.consumed <= own.size() - used);
      if (step.kind == Kind::NeedMore) break;
      used += step.consumed;
      const std::string_view payload(step.payload.data(), step.payload.size());
      if (step.kind == Kind::Message) {
        log += line(name_of(step.opcode, step.compressed), payload);
        if (step.opcode == ws::Opcode::Text && !step.compressed) BG_ASSERT(valid_utf8(payload));
      }
      if (step.kind == Kind::Ping) log += line("ping", payload);
      if (step.kind == Kind::Pong) log += line("pong", payload);
      if (step.kind == Kind::Close) log += line("close", payload);
      if (step.kind == Kind::Failure) log += "failure " + std::to_string(step.code) + '\n';
      over = step.kind == Kind::Failure || step.kind == Kind::Close;
      reader.done();
    }
    carry.erase(0, used);
    BG_ASSERT(over || carry.size() <= ws::kControlBytesMax + 14);
    return !over;
  });
  reader.forget(record);
  BG_ASSERT(arena().bytes_live() == 0);
  return log;
}

struct Frame {
  bool fin = false;
  uint8_t rsv = 0, opcode = 0;
  std::string payload;
};

// The frame at the front, wholly there and well-formed in itself.
std::optional<Frame> take_frame(std::string_view& rest) {
  if (rest.size() < 2) return std::nullopt;
  const auto first = static_cast<uint8_t>(rest[0]), second = static_cast<uint8_t>(rest[1]);
  if (second < 0x80) return std::nullopt;
  const size_t extended = (second & 127) == 126 ? 2 : (second & 127) == 127 ? 8 : 0;
  if (rest.size() < 2 + extended + 4) return std::nullopt;
  uint64_t size = second & 127;
  if (extended > 0) size = 0;
  for (size_t i = 0; i < extended; ++i) size = size << 8 | static_cast<uint8_t>(rest[2 + i]);
  if ((extended == 2 && size < 126) || (extended == 8 && size < 65536)) return std::nullopt;
  const std::string_view key = rest.substr(2 + extended, 4);
  rest.remove_prefix(2 + extended + 4);
  if (rest.size() < size) return std::nullopt;
  Frame frame{.fin = first >= 0x80, .rsv = static_cast<uint8_t>(first >> 4 & 7), .opcode = static_cast<uint8_t>(first & 15)};
  for (size_t i = 0; i < size; ++i) frame.payload += static_cast<char>(rest[i] ^ key[i % 4]);
  rest.remove_prefix(size);
  return frame;
}

// What is certainly right: lines up to the first frame that is wrong in any way or not whole.
std::string read_by_the_book(std::string_view rest, bool compression) {
  std::string log, message;
  uint8_t opcode = 0;
  bool compressed = false;
  while (const auto frame = take_frame(rest)) {
    if (frame->opcode >= 8) {
      if (!frame->fin || frame->rsv != 0 || frame->payload.size() > 125 || frame->opcode > 10) return log;
      log += line(frame->opcode == 8 ? "close" : frame->opcode == 9 ? "ping" : "pong", frame->payload);
      if (frame->opcode == 8) return log;
      continue;
    }
    const bool begins = frame->opcode != 0;
    if (frame->opcode > 2 || begins != (opcode == 0)) return log;
    if (frame->rsv != 0 && !(frame->rsv == 4 && begins && compression)) return log;
    if (begins) opcode = frame->opcode, compressed = frame->rsv == 4;
    message += frame->payload;
    if (message.size() > kMessageBytesMax) return log;
    if (opcode == 1 && !compressed && ws::check_utf8(message) == ws::Utf8State::Invalid) return log;
    if (!frame->fin) continue;
    const bool text = opcode == 1;
    if (text && !compressed && !valid_utf8(message)) return log;
    log += line(name_of(text ? ws::Opcode::Text : ws::Opcode::Binary, compressed), message);
    message.clear();
    opcode = 0;
  }
  return log;
}

void check_close(std::string_view payload) {
  const ws::ClosePayload close = ws::parse_close(payload);
  if (payload.empty()) BG_ASSERT(close.violation == 0 && close.code == ws::kCloseNoStatus);
  if (close.violation != 0 || payload.empty()) return;
  BG_ASSERT(payload.size() >= 2 && ws::valid_close_code(close.code) && valid_utf8(close.reason));
  BG_ASSERT(close.code == load_be<uint16_t>(payload.data()) && close.reason == payload.substr(2));
  BG_ASSERT((close.code >= 1000 && close.code <= 1014 && close.code != 1005 && close.code != 1006 && close.code != 1004) ||
            (close.code >= 3000 && close.code <= 4999));
}

}  // namespace

FUZZ_TARGET(websocket_frames) {
  Input input(bytes);
  const bool compression = (input.byte() & 1) != 0;
  const std::string whole = read(input.rest(), compression, Cut::Whole);
  for (const Cut cut : kCuts) BG_ASSERT(read(input.rest(), compression, cut) == whole);
  // Its log goes on only with a failure, if at all.
  const std::string sure = read_by_the_book(input.rest(), compression);
  BG_ASSERT(whole.starts_with(sure));
  const std::string_view more = std::string_view(whole).substr(sure.size());
  BG_ASSERT(more.empty() || (more.starts_with("failure ") && more.find('\n') == more.size() - 1));
  check_close(input.rest());
}

}  // namespace beamgate::fuzz
