#include "worker/http/gzip_stream.h"

#include "common/base/assert.h"

namespace beamgate::http {
namespace {

constexpr int kGzipWindowBits = 15 + 16;  // The largest window, in gzip's frame instead of zlib's.
constexpr int kMemoryLevel = 8;

int flush_of(GzipStream::Then then) {
  switch (then) {
    case GzipStream::Then::More: return Z_NO_FLUSH;
    case GzipStream::Then::Flush: return Z_SYNC_FLUSH;
    case GzipStream::Then::Finish: return Z_FINISH;
  }
  return Z_FINISH;
}

}  // namespace

std::unique_ptr<GzipStream> GzipStream::make(int level) {
  std::unique_ptr<GzipStream> made(new GzipStream());
  made->level_ = level;
  const int code = deflateInit2(&made->stream_, level, Z_DEFLATED, kGzipWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY);
  return code == Z_OK ? std::move(made) : nullptr;
}

GzipStream::~GzipStream() { deflateEnd(&stream_); }

void GzipStream::restart(int level) {
  int code = deflateReset(&stream_);
  if (code == Z_OK && level != level_) code = deflateParams(&stream_, level, Z_DEFAULT_STRATEGY);
  BG_ASSERT(code == Z_OK);
  level_ = level;
}

bool GzipStream::run(std::string_view bytes, Then then, const Sink& sink) {
  char piece[kPieceBytes];
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream_.avail_in = static_cast<uInt>(bytes.size());
  BG_ASSERT(stream_.avail_in == bytes.size());
  for (;;) {
    stream_.next_out = reinterpret_cast<Bytef*>(piece);
    stream_.avail_out = sizeof piece;
    const int code = deflate(&stream_, flush_of(then));
    BG_ASSERT(code != Z_STREAM_ERROR);
    const size_t got = sizeof piece - stream_.avail_out;
    if (got > 0 && !sink({piece, got})) return false;
    // Room that is left says that nothing is held back, but what the next call may still use.
    if (code == Z_STREAM_END || (stream_.avail_out > 0 && then != Then::Finish)) return true;
  }
}

std::unique_ptr<GzipStream> GzipStreams::take(int level) {
  if (active_ == kActiveMax) return nullptr;
  std::unique_ptr<GzipStream> stream;
  if (idle_.empty()) {
    stream = GzipStream::make(level);
  } else {
    stream = std::move(idle_.back());
    idle_.pop_back();
    stream->restart(level);
  }
  if (stream != nullptr) ++active_;
  return stream;
}

void GzipStreams::give_back(std::unique_ptr<GzipStream> stream) {
  --active_;
  if (idle_.size() < kIdleMax) idle_.push_back(std::move(stream));
}

}  // namespace beamgate::http
