// Gzip stream: one response body being compressed, with zlib.
//
// Owner      GzipBody of a session; GzipStreams keeps those that wait for the next.
// Limits     268 KiB of memory for each body that is being compressed: zlib's window of 32 KiB and its tables.
//            The output is handed on in pieces of kPieceBytes.
// Thread     Worker loop thread only.
#pragma once

#include <zlib.h>

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace beamgate::http {

class GzipStream {
 public:
  static constexpr size_t kPieceBytes = 16 << 10;
  // Flush: all that was given comes out, for somebody who waits for it.
  enum class Then : uint8_t { More, Flush, Finish };

  // Takes a piece of output; false stops.
  using Sink = std::function<bool(std::string_view)>;

  static std::unique_ptr<GzipStream> make(int level);  // Null: no memory.
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  void restart(int level);
  // False: the sink has stopped it.
  bool run(std::string_view bytes, Then then, const Sink& sink);

 private:
  GzipStream() = default;

  z_stream stream_{};
  int level_ = 0;
};

// The streams of a worker.
class GzipStreams {
 public:
  static constexpr size_t kIdleMax = 16;        // 4 MiB.
  static constexpr size_t kActiveMax = 1'024;   // 268 MiB; what comes then goes uncompressed.

  std::unique_ptr<GzipStream> take(int level);  // Null: so many are in use, or there is no memory.
  void give_back(std::unique_ptr<GzipStream> stream);
  size_t idle() const { return idle_.size(); }
  size_t active() const { return active_; }

 private:
  std::vector<std::unique_ptr<GzipStream>> idle_;
  size_t active_ = 0;
};

}  // namespace beamgate::http
