// Responses: what a response reader has read, as one value, so that readings of the same bytes can be compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "worker/http/grammar.h"
#include "worker/http/response_reader.h"

namespace beamgate::fuzz {

struct SeenResponse {
  http::ResponseReader::State state = http::ResponseReader::State::Head;
  uint16_t status = 0;
  std::optional<uint64_t> length;
  std::string head;  // "name: value" lines of it, of interim heads before and of trailers behind.
  std::string body;
  std::string errors;
  bool reusable = false;
  bool operator==(const SeenResponse&) const = default;
};

inline void note_fields(const std::vector<http::ResponseField>& fields, std::string& out) {
  for (const http::ResponseField& field : fields) {
    BG_ASSERT(http::is_token(field.name) && http::is_field_value(field.value));
    out += field.name + ": " + field.value + '\n';
  }
}

// Feeds all of it, then the end of the stream.  Of an invalid response nothing but that counts.
template <typename Reader>
SeenResponse read_response(Reader& reader, std::string_view bytes, Cut cut) {
  using State = http::ResponseReader::State;
  SeenResponse out;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    std::vector<char> own(piece.begin(), piece.end());
    std::string_view body;
    out.state = reader.feed(own, body);
    BG_ASSERT(body.empty() || (body.data() >= own.data() && body.data() + body.size() <= own.data() + own.size()));
    for (const http::ResponseHead& interim : reader.take_interims()) {
      BG_ASSERT(interim.status >= 100 && interim.status < 200);
      out.head += std::to_string(interim.status) + '\n';
      note_fields(interim.fields, out.head);
    }
    out.body += body;
    out.errors += reader.take_errors();
    return out.state != State::Invalid;
  });
  out.reusable = reader.reusable();
  if (out.state == State::Head || out.state == State::Body) out.state = reader.end();
  if (out.state == State::Invalid) return {.state = State::Invalid};
  if (out.state == State::Head) return out;
  out.status = reader.head().status;
  out.length = reader.head().content_length;
  BG_ASSERT(out.state == State::Switched || (out.status >= 200 && out.status <= 999));
  note_fields(reader.head().fields, out.head);
  note_fields(reader.take_trailers(), out.head);
  const bool is_whole = out.state == State::Complete && reader.may_have_body() && out.length.has_value();
  if (is_whole) BG_ASSERT(out.body.size() == *out.length);
  if (!reader.may_have_body() && out.state == State::Complete) BG_ASSERT(out.body.empty());
  return out;
}

}  // namespace beamgate::fuzz
