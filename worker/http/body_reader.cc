#include "worker/http/body_reader.h"

#include <algorithm>

namespace beamgate::http {

using Kind = BodyReader::Step::Kind;

BodyReader::BodyReader(const Request& request, uint64_t bytes_max)
    : remaining_(request.content_length.value_or(0)),
      bytes_max_(bytes_max == 0 ? UINT64_MAX : bytes_max),
      chunked_(request.chunked),
      complete_(!request.has_body()) {}

BodyReader BodyReader::endless() {
  BodyReader reader;
  reader.remaining_ = reader.bytes_max_ = UINT64_MAX;
  reader.complete_ = false;
  return reader;
}

BodyReader::Step BodyReader::next(std::string_view bytes) {
  if (complete_) return Step{Kind::Complete, 0};
  Step step;
  if (chunked_) {
    const ChunkDecoder::Step chunk = chunks_.next(bytes);
    step.used = chunk.used;
    step.data = chunk.data;
    switch (chunk.kind) {
      case ChunkDecoder::Step::Kind::NeedMore:
        break;
      case ChunkDecoder::Step::Kind::Data:
        step.kind = Kind::Data;
        break;
      case ChunkDecoder::Step::Kind::Bad:
        step.kind = Kind::Bad;
        break;
      case ChunkDecoder::Step::Kind::End:
        complete_ = true;
        step.kind = Kind::Complete;
        break;
    }
  } else if (!bytes.empty()) {
    step.kind = Kind::Data;
    step.data = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(remaining_, bytes.size())));
  }
  if (step.kind == Kind::Data && step.data.size() > bytes_max_ - received_) step.kind = Kind::TooLarge;
  return step;
}

void BodyReader::took(size_t bytes) {
  received_ += bytes;
  if (chunked_) return chunks_.took(bytes);
  remaining_ -= bytes;
  complete_ = remaining_ == 0;
}

uint64_t BodyReader::remaining() const {
  if (complete_) return 0;
  return chunked_ ? UINT64_MAX : remaining_;
}

}  // namespace beamgate::http
