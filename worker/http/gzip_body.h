// Gzip body: the body of one response on its way through zlib, when it is one that is compressed.
//
// Owner      A response's writer, as a value member; it holds a stream only from begin() to the body's end.
// Thread     Worker loop thread only.
// Limits     A GzipStream while active.  Without one the response goes uncompressed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "common/metrics/metrics.h"
#include "worker/http/exchange.h"
#include "worker/http/gzip_stream.h"

namespace beamgate::http {

class GzipBody {
 public:
  GzipBody() = default;
  ~GzipBody() { end(); }
  GzipBody(const GzipBody&) = delete;
  GzipBody& operator=(const GzipBody&) = delete;

  // Looks at a response that is about to begin; adds Vary, and becomes active where it is to be compressed.
  void begin(GzipStreams& streams, metrics::Page& metrics, const Request& request, ResponseHead& head);
  bool active() const { return stream_ != nullptr; }

  // more_follows: the next bytes are at hand, so that nobody waits for these.  False: the sink has stopped it, or the
  // body is longer than its head had said.
  bool write(std::string_view bytes, bool more_follows, const GzipStream::Sink& sink);
  // False: likewise, or it is shorter.
  bool finish(const GzipStream::Sink& sink);
  void end();  // Nothing more of it is needed.

  // A whole body at once, into out; the head then says its length.  REQUIRES: active.
  void compress_whole(std::string_view body, ResponseHead& head, std::string& out);

 private:
  bool run(std::string_view bytes, GzipStream::Then then, const GzipStream::Sink& sink);

  GzipStreams* streams_ = nullptr;
  metrics::Page* metrics_ = nullptr;
  std::unique_ptr<GzipStream> stream_;
  uint64_t left_ = UINT64_MAX;  // Of the body as it comes in, where its length is known.
};

}  // namespace beamgate::http
