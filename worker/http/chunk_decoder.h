// Chunk decoder: the chunked transfer coding of a request body, read strictly (RFC 9112 section 7.1).
//
// llhttp is lax here: it takes folded trailer lines, any number of leading zeros and endless extensions.  A
// request body is where smuggling hides, so it is decoded by these few states, which hold no bytes at all.
//
// Limits   A size has at most 16 hex digits; extensions and trailers have kLineBytesMax a line, and all that
//          is not data kOverheadBytesMax more than the smallest framing of as many chunks: the action is Bad.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::http {

class ChunkDecoder {
 public:
  static constexpr size_t kLineBytesMax = 1 << 10;
  static constexpr size_t kOverheadBytesMax = 16 << 10;

  struct Step {
    enum class Kind : uint8_t { NeedMore, Data, End, Bad };
    Kind kind = Kind::NeedMore;
    size_t used = 0;        // Bytes of framing consumed; data follow right behind them.
    std::string_view data;  // Data: tell with took() how much of it was taken.
  };

  // Reads up to the next data, the end, or the end of `bytes`.
  Step next(std::string_view bytes);

  // REQUIRES: bytes <= the last step's data.
  void took(size_t bytes);

  // The trailer section goes here as it comes, each line with a CR; without that it is only checked.
  void keep_trailers(std::string& into) { trailers_ = &into; }

 private:
  enum class State : uint8_t {
    SizeFirst,  // Before a chunk's first digit.
    Size,
    SizeSpace,  // White space before an extension (BWS), which the grammar tolerates.
    Extension,
    QuotedExtension,  // Within a quoted string; a "\" there is Escaped.
    EscapedExtension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerFirst,  // At the start of a trailer line, or of the last empty one.
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
  };

  bool feed(char c);
  bool feed_size(char c);
  bool feed_extension(char c);
  bool feed_trailer(char c);
  bool expect(char c, char wanted, State next);
  bool begin_chunk();

  State state_ = State::SizeFirst;
  uint8_t digits_ = 0;
  uint64_t size_ = 0;  // Of the chunk being read; then what is left of it.
  size_t line_bytes_ = 0;
  size_t overhead_ = 0;
  std::string* trailers_ = nullptr;
};

}  // namespace beamgate::http
