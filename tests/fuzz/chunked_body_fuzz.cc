// Chunked body: the decoder takes no body that a reading by RFC 9112 section 7.1 would end elsewhere or fill otherwise,
// wherever it is cut; and every body that is chunked plainly comes out again.
#include <optional>

#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/http/chunk_decoder.h"
#include "worker/http/grammar.h"

namespace beamgate::fuzz {
namespace {

using Kind = http::ChunkDecoder::Step::Kind;

struct Decoded {
  Kind kind = Kind::NeedMore;
  size_t used = 0;
  std::string data;
  std::string trailers;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, Cut cut) {
  Decoded out;
  http::ChunkDecoder decoder;
  decoder.keep_trailers(out.trailers);
  in_pieces(bytes, cut, [&](std::string_view piece) {
    do {
      const auto step = decoder.next(piece);
      BG_ASSERT(step.used <= piece.size() && step.data.size() <= piece.size() - step.used);
      out.kind = step.kind;
      out.used += step.used + step.data.size();
      if (step.kind == Kind::Data) {
        BG_ASSERT(!step.data.empty());
        out.data += step.data;
        decoder.took(step.data.size());
      }
      piece.remove_prefix(step.used + step.data.size());
      if (step.kind == Kind::Bad || step.kind == Kind::End) return false;
    } while (!piece.empty());
    return true;
  });
  if (out.kind == Kind::Data) out.kind = Kind::NeedMore;  // Where a piece ended with data.
  return out;
}

// A whole body by the book, where lines end in CRLF only; nothing when it isn't one, or isn't whole.
std::optional<Decoded> by_the_book(std::string_view bytes) {
  Decoded out{.kind = Kind::End};
  std::string_view rest = bytes;
  const auto line = [&]() -> std::optional<std::string_view> {
    const size_t end = rest.find("\r\n");
    if (end == rest.npos) return std::nullopt;
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    return text;
  };
  for (;;) {
    const auto head = line();
    if (!head) return std::nullopt;
    size_t digits = 0;
    unsigned __int128 size = 0;
    while (digits < head->size() && digits < 17 && http::hex_value((*head)[digits]) >= 0) {
      size = size << 4 | static_cast<unsigned>(http::hex_value((*head)[digits++]));
    }
    size_t behind = digits;
    while (behind < head->size() && ((*head)[behind] == ' ' || (*head)[behind] == '\t')) ++behind;
    const bool extended = behind < head->size() && (*head)[behind] == ';';
    if (digits == 0 || (digits < head->size() && !extended)) return std::nullopt;
    if (size == 0) break;
    if (rest.size() < size + 2 || rest.substr(static_cast<size_t>(size), 2) != "\r\n") return std::nullopt;
    out.data += rest.substr(0, static_cast<size_t>(size));
    rest.remove_prefix(static_cast<size_t>(size) + 2);
  }
  for (;;) {
    const auto field = line();
    if (!field) return std::nullopt;
    if (field->empty()) break;
    const size_t colon = field->find(':');
    if (colon == field->npos || !http::is_token(field->substr(0, colon))) return std::nullopt;
    if (!http::is_field_value(field->substr(colon + 1))) return std::nullopt;
    out.trailers.append(*field) += '\r';
  }
  out.trailers += '\r';  // The empty line that ends them.
  out.used = bytes.size() - rest.size();
  return out;
}

void check_round_trip(std::string_view bytes) {
  std::string text;
  in_pieces(bytes, Cut::Unevenly, [&](std::string_view piece) {
    char size[8];
    text.append(size, static_cast<size_t>(snprintf(size, sizeof size, "%zx\r\n", piece.size())));
    text.append(piece).append("\r\n");
    return true;
  });
  const Decoded back = decode(text + "0\r\n\r\nGET", Cut::Unevenly);
  BG_ASSERT(back.kind == Kind::End && back.data == bytes && back.used == text.size() + 5);
}

}  // namespace

FUZZ_TARGET(chunked_body) {
  const Decoded whole = decode(bytes, Cut::Whole);
  for (const Cut cut : kCuts) BG_ASSERT(decode(bytes, cut) == whole);
  if (whole.kind == Kind::End) BG_ASSERT(whole == by_the_book(bytes));
  check_round_trip(bytes);
}

}  // namespace beamgate::fuzz
