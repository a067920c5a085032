// Session: one HTTP/2 connection: nghttp2's state, its streams, and what the client may demand of us.
//
// Owner      Layer, by the connection's slot; it is in no arena, so such a connection is neither moved nor adopted.
// Thread     Worker loop thread only.
// Limits     http2_max_concurrent_streams; kWindowBytes of request bodies that no handler has taken yet, of all streams
//            together; HeadLimits for each head; FloodGuard; output is framed only while the connection's queue has less
//            than kHighWaterBytes.
// Errors     A stream's are answered with RST_STREAM, the connection's with GOAWAY and its end.
// Memory     An idle one is nghttp2's session with its two HPACK tables, and this: 15 KB were measured.
// Source     RFC 9113.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker/http2/flood_guard.h"
#include "worker/http2/request_head.h"
#include "worker/http2/response_fields.h"
#include "worker/http2/stream.h"

namespace beamgate::http {
class Dispatcher;
}

namespace beamgate::http2 {

class Layer;

// What sessions share.
struct SessionParts {
  Layer& layer;
  net::Connections& connections;
  http::Dispatcher& dispatcher;
  metrics::Page& metrics;
  log::Log& log;
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  ResponseFields fields;
  std::string output;  // Frames on their way to the connection.
};

class Session {
 public:
  static constexpr int32_t kWindowBytes = 1 << 20;

  // Null: there is no memory.
  static std::unique_ptr<Session> open(SessionParts& parts, record::Record& record);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  static void set_callbacks(nghttp2_session_callbacks* callbacks);

  record::ConnId connection() const { return connection_; }

  // --- From the layer.
  void receive(record::Record& record, std::string_view bytes);
  void pump(record::Record& record);        // Frames what there is, as far as there is room.
  void deadline_passed(record::Record& record);
  void peer_closed(record::Record& record);
  void shut_down(record::Record& record);   // GOAWAY: no new streams, and the end once there is none left.
  void gone();                              // The connection is.
  bool idle() const { return streams_.empty(); }

  // --- From its streams.
  ResponseFields& fields() { return parts_.fields; }
  bool submit_response(Stream& stream, ResponseFields& fields, bool ends);
  bool submit_interim(Stream& stream, ResponseFields& fields);
  void output_ready(Stream& stream);
  void deliver_later(Stream& stream);
  void consume(int32_t stream_id, size_t bytes);
  void reset(Stream& stream);
  void deadline_changed() { wants_pump(); }
  void exchange_over(Stream& stream);

 private:
  friend struct Callbacks;

  explicit Session(SessionParts& parts, record::ConnId connection) : parts_(parts), connection_(connection) {}
  bool start(const record::Record& record);

  Stream* find(int32_t stream_id);
  void begin_head();
  void end_head(int32_t stream_id, bool ends_stream);
  void stream_closed(int32_t stream_id);
  static ssize_t read_output(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                             nghttp2_data_source* source, void* data) noexcept;
  ssize_t frame_output(Stream& stream, size_t most, uint32_t& flags);
  int send_data(Stream& stream, const uint8_t* frame_head, size_t count);
  void frame_sent(const nghttp2_frame& frame);
  bool count(Flood flood);  // False: that is too many, and the connection is to end.
  bool count_frame(const nghttp2_frame_hd& head);

  void submit_goaway();
  void wants_pump();
  void serve_ready();
  bool frame_some(record::Record& record);
  void fail(record::Record& record, int error);
  bool finish_if_over(record::Record& record);
  void update_deadline(record::Record& record);
  int64_t idle_until_ms(const record::Record& record) const;

  SessionParts& parts_;
  const record::ConnId connection_;
  nghttp2_session* native_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Stream>> streams_;
  std::vector<int32_t> drained_;    // Streams whose output has all been framed.
  std::vector<int32_t> deliverable_;
  std::unique_ptr<RequestHead> head_;  // While a header block comes in.
  FloodGuard guard_;
  int64_t head_since_ms_ = 0;       // A header block has begun, and isn't whole.
  int64_t idle_since_ms_ = 0;       // There is no stream.
  int64_t stalled_since_ms_ = 0;    // The client takes nothing of what is queued.
  uint64_t sent_mark_ = 0;          // Record::bytes_sent at that time.
  size_t output_room_ = 0;          // While it is framed.
  bool output_left_ = false;        // There was more than it had room for.
  int depth_ = 0;                   // Of calls into nghttp2.
  bool marked_ = false;             // The layer pumps it at the end of this turn.
  bool shut_down_ = false;
  bool flooded_ = false;
};

}  // namespace beamgate::http2
