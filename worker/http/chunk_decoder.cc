#include "worker/http/chunk_decoder.h"

#include <algorithm>

#include "common/base/assert.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

constexpr int kDigitsMax = 16;
constexpr uint64_t kChunkBytesMax = uint64_t{1} << 62;

// CRLF behind the size and behind the data: with the digits, what a chunk must cost its sender.
constexpr size_t kLineEndsOfChunk = 4;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

ChunkDecoder::Step ChunkDecoder::next(std::string_view bytes) {
  size_t used = 0;
  for (; used < bytes.size() && state_ != State::Data && state_ != State::Done; ++used) {
    if (!feed(bytes[used])) return Step{Step::Kind::Bad, used};
  }
  if (state_ == State::Done) return Step{Step::Kind::End, used};
  if (state_ != State::Data || used == bytes.size()) return Step{Step::Kind::NeedMore, used};
  const size_t size = static_cast<size_t>(std::min<uint64_t>(size_, bytes.size() - used));
  return Step{Step::Kind::Data, used, bytes.substr(used, size)};
}

void ChunkDecoder::took(size_t bytes) {
  BG_ASSERT(state_ == State::Data && bytes <= size_);
  size_ -= bytes;
  if (size_ == 0) state_ = State::DataCr;
}

bool ChunkDecoder::expect(char c, char wanted, State next) {
  state_ = next;
  return c == wanted;
}

bool ChunkDecoder::feed(char c) {
  if (++overhead_ > kOverheadBytesMax || ++line_bytes_ > kLineBytesMax) return false;
  switch (state_) {
    case State::SizeFirst:
    case State::Size:
      return feed_size(c);
    case State::SizeSpace:
      return is_blank(c) || expect(c, ';', State::Extension);
    case State::Extension:
    case State::QuotedExtension:
    case State::EscapedExtension:
      return feed_extension(c);
    case State::SizeLf:
      return c == '\n' && begin_chunk();
    case State::DataCr:
      return expect(c, '\r', State::DataLf);
    case State::DataLf:
      line_bytes_ = 0;
      return expect(c, '\n', State::SizeFirst);
    case State::TrailerFirst:
    case State::TrailerName:
    case State::TrailerValue:
      if (trailers_ != nullptr) trailers_->push_back(c);
      return feed_trailer(c);
    case State::TrailerLf:
      line_bytes_ = 0;
      return expect(c, '\n', State::TrailerFirst);
    case State::EndLf:
      return expect(c, '\n', State::Done);
    case State::Data:
    case State::Done:
      break;
  }
  BG_ASSERT(false && "framing byte fed where there is none");
  return false;
}

bool ChunkDecoder::feed_size(char c) {
  const int digit = hex_value(c);
  if (digit >= 0) {
    if (digits_ == kDigitsMax) return false;
    ++digits_;
    size_ = size_ << 4 | static_cast<uint64_t>(digit);
    state_ = State::Size;
    return size_ <= kChunkBytesMax;
  }
  if (state_ == State::SizeFirst) return false;
  if (c == '\r') return expect(c, '\r', State::SizeLf);
  return is_blank(c) ? expect(c, c, State::SizeSpace) : expect(c, ';', State::Extension);
}

bool ChunkDecoder::feed_extension(char c) {
  if (state_ == State::EscapedExtension) {
    state_ = State::QuotedExtension;
    return is_value_char(c);
  }
  if (state_ == State::QuotedExtension) {
    if (c == '"') state_ = State::Extension;
    if (c == '\\') state_ = State::EscapedExtension;
    return is_value_char(c);
  }
  if (c == '\r') return expect(c, '\r', State::SizeLf);
  if (c == '"') state_ = State::QuotedExtension;
  return is_token_char(c) || c == '=' || c == ';' || c == '"' || c == ' ' || c == '\t';
}

bool ChunkDecoder::begin_chunk() {
  state_ = size_ > 0 ? State::Data : State::TrailerFirst;
  overhead_ -= std::min(overhead_, digits_ + kLineEndsOfChunk);
  digits_ = 0;
  line_bytes_ = 0;
  return true;
}

bool ChunkDecoder::feed_trailer(char c) {
  switch (state_) {
    case State::TrailerFirst:
      if (c == '\r') return expect(c, '\r', State::EndLf);
      state_ = State::TrailerName;
      return is_token_char(c);
    case State::TrailerName:
      if (c == ':') state_ = State::TrailerValue;
      return c == ':' || is_token_char(c);
    default:
      if (c == '\r') return expect(c, '\r', State::TrailerLf);
      return is_value_char(c);
  }
}

}  // namespace beamgate::http
