// Stream words: lines of a line client are the same wherever they are cut; Last-Event-ID and the cursor of a long poll are
// read as they are written; what is published can't end the line or the event that it stands in.
// Input: bytes for all of them.
#include <vector>

#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/proto/cursor.h"
#include "worker/proto/event_text.h"
#include "worker/proto/handshake_text.h"
#include "worker/proto/line_reader.h"

namespace beamgate::fuzz {
namespace {

using proto::LineStep;

constexpr size_t kLineBytesMax = 60;

std::vector<std::string> read_lines(std::string_view bytes, Cut cut) {
  std::vector<std::string> out;
  std::string carry;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    carry += piece;
    for (;;) {
      const LineStep step = proto::read_line(carry, kLineBytesMax);
      if (step.kind == LineStep::Kind::NeedMore) return true;
      out.emplace_back(step.kind == LineStep::Kind::Line ? std::string(step.line) : "too long");
      if (step.kind == LineStep::Kind::TooLong) return false;
      BG_ASSERT(step.line.size() <= kLineBytesMax && step.line.find('\n') == step.line.npos && step.consumed > step.line.size());
      carry.erase(0, step.consumed);
    }
  });
  return out;
}

void check_cursor(std::string_view text) {
  const std::vector<std::string> one = {"room"}, several = {"room", "lobby", "c"};
  for (const auto& channels : {one, several}) {
    const auto cursor = proto::Cursor::parse(text, channels);
    if (!cursor) continue;
    std::vector<proto::Reached> places;
    for (const std::string& channel : channels) {
      if (const auto place = cursor->of(channel)) places.push_back(*place);
    }
    BG_ASSERT(!places.empty() && places.size() <= channels.size());
    if (places.size() != channels.size()) continue;
    const std::string written = proto::write_cursor(places);
    const auto again = proto::Cursor::parse(written, channels);
    BG_ASSERT(again.has_value());
    for (const proto::Reached& place : places) {
      BG_ASSERT(again->of(place.channel)->epoch == place.epoch && again->of(place.channel)->offset == place.offset);
    }
  }
  if (const auto place = proto::parse_place(text)) {
    BG_ASSERT(proto::parse_place(proto::write_place(place->epoch, place->offset))->offset == place->offset);
  }
}

// As a reader of the HTML standard, section 9.2.6, joins it.
std::string data_of_event(std::string_view text) {
  std::string out;
  bool any = false;
  for (Input input(text); !input.empty();) {
    std::string_view line = input.line();
    BG_ASSERT(line.find('\r') == line.npos);
    if (!line.starts_with("data:")) continue;
    line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
    (any ? out += '\n' : out) += line;
    any = true;
  }
  return out;
}

std::string with_lf(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += text[i] == '\r' ? '\n' : text[i];
  }
  return out;
}

void check_publication(std::string_view payload) {
  for (const auto kind : {ipc::PayloadKind::Text, ipc::PayloadKind::Binary}) {
    std::string event, line;
    proto::write_event("said", kind, payload, event);
    if (kind == ipc::PayloadKind::Text) BG_ASSERT(data_of_event(event) == with_lf(payload));
    BG_ASSERT(event.find("\n\n") == event.npos && event.find("\nid") == event.npos);
    proto::write_line(kind, payload, line);
    BG_ASSERT(line.find('\n') == line.size() - 1 && line.find('\r') == line.npos);
  }
}

void check_handshake(std::string_view text) {
  const proto::HandshakeText read = proto::decode_handshake(text);
  const std::string written = proto::encode_handshake(read);
  const proto::HandshakeText again = proto::decode_handshake(written);
  BG_ASSERT(again.publish_channel == read.publish_channel && again.session == read.session &&
            again.forward_fields == read.forward_fields);
}

}  // namespace

FUZZ_TARGET(stream_words) {
  const auto whole = read_lines(bytes, Cut::Whole);
  for (const Cut cut : kCuts) BG_ASSERT(read_lines(bytes, cut) == whole);
  check_cursor(bytes);
  check_publication(bytes);
  check_handshake(bytes);
}

}  // namespace beamgate::fuzz
