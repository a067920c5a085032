#include "worker/http/gzip_body.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "worker/http/gzip_rules.h"

namespace beamgate::http {

void GzipBody::begin(GzipStreams& streams, metrics::Page& metrics, const Request& request, ResponseHead& head) {
  const config::Gzip& gzip = request.location->gzip;
  if (gzip.vary && depends_on_encoding(gzip, head)) vary_by_encoding(head);
  if (!wants_gzip(gzip, request, head, wall_ms() / 1'000)) return;
  stream_ = streams.take(gzip.level);
  if (stream_ == nullptr) return;
  streams_ = &streams;
  metrics_ = &metrics;
  left_ = head.content_length.value_or(UINT64_MAX);
  become_gzip(head);
}

bool GzipBody::write(std::string_view bytes, bool more_follows, const GzipStream::Sink& sink) {
  if (left_ != UINT64_MAX) {
    if (bytes.size() > left_) return false;
    left_ -= bytes.size();
  }
  // With the last byte of a known length the end is at hand.
  return run(bytes, more_follows || left_ == 0 ? GzipStream::Then::More : GzipStream::Then::Flush, sink);
}

bool GzipBody::finish(const GzipStream::Sink& sink) {
  if (left_ != UINT64_MAX && left_ > 0) return false;
  const bool sound = run({}, GzipStream::Then::Finish, sink);
  end();
  return sound;
}

void GzipBody::end() {
  if (stream_ != nullptr) streams_->give_back(std::move(stream_));
}

void GzipBody::compress_whole(std::string_view body, ResponseHead& head, std::string& out) {
  const GzipStream::Sink sink = [&out](std::string_view piece) { return out.append(piece), true; };
  const bool sound = write(body, true, sink) && finish(sink);
  BG_ASSERT(sound);
  head.content_length = out.size();
}

bool GzipBody::run(std::string_view bytes, GzipStream::Then then, const GzipStream::Sink& sink) {
  metrics_->add(metrics::Metric::GzipBytesIn, bytes.size());
  return stream_->run(bytes, then, [&](std::string_view piece) {
    metrics_->add(metrics::Metric::GzipBytesOut, piece.size());
    return sink(piece);
  });
}

}  // namespace beamgate::http
