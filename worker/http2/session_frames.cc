// The part of Session that nghttp2 calls: frames as they come and go.
#include <algorithm>

#include "worker/http2/layer.h"
#include "worker/http2/session.h"

namespace beamgate::http2 {
namespace {

std::string_view text_of(const uint8_t* bytes, size_t count) {
  return {reinterpret_cast<const char*>(bytes), count};
}

bool begins_request(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

// Errors of the client that it may have made on purpose: each costs us a stream that was begun.
bool is_clients_fault(uint32_t code) {
  return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED ||
         code == NGHTTP2_FRAME_SIZE_ERROR || code == NGHTTP2_REFUSED_STREAM;
}

// Of the connection; floods are counted apart.
bool breaks_protocol(uint32_t code) {
  return code != NGHTTP2_NO_ERROR && code != NGHTTP2_ENHANCE_YOUR_CALM && code != NGHTTP2_INTERNAL_ERROR;
}

}  // namespace

struct Callbacks {
  static Session& of(void* data) { return *static_cast<Session*>(data); }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* data) noexcept {
    return of(data).count_frame(*head) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* data) noexcept {
    if (begins_request(*frame)) of(data).begin_head();
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_bytes,
                    const uint8_t* value, size_t value_bytes, uint8_t, void* data) noexcept {
    RequestHead* head = begins_request(*frame) ? of(data).head_.get() : nullptr;
    if (head != nullptr) head->add(text_of(name, name_bytes), text_of(value, value_bytes));
    return 0;  // Trailers of a request are checked, and go no further.
  }

  // Without this, nghttp2 would leave the field out and go on (RFC 9113 section 8.2.1 has it malformed).
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t, const uint8_t*, size_t,
                            uint8_t, void*) noexcept {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* data) noexcept {
    Session& session = of(data);
    const bool ends_stream = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (begins_request(*frame)) {
      session.end_head(frame->hd.stream_id, ends_stream);
    } else if (ends_stream && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
      if (Stream* stream = session.find(frame->hd.stream_id)) stream->receive_end();
    }
    return 0;
  }

  static int data_chunk(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* bytes, size_t count,
                        void* data) noexcept {
    Session& session = of(data);
    if (Stream* stream = session.find(stream_id)) {
      stream->receive(text_of(bytes, count));
    } else {
      session.consume(stream_id, count);
    }
    return 0;
  }

  static int stream_close(nghttp2_session*, int32_t stream_id, uint32_t, void* data) noexcept {
    of(data).stream_closed(stream_id);
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* data) noexcept {
    of(data).frame_sent(*frame);
    return 0;
  }

  // A head that is larger than nghttp2 sends.
  static int frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* data) noexcept {
    Session& session = of(data);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Stream* stream = session.find(frame->hd.stream_id)) session.reset(*stream);
    return 0;
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t count,
                       nghttp2_data_source* source, void* data) noexcept {
    return of(data).send_data(*static_cast<Stream*>(source->ptr), frame_head, count);
  }
};

ssize_t Session::read_output(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                             nghttp2_data_source* source, void* data) noexcept {
  return Callbacks::of(data).frame_output(*static_cast<Stream*>(source->ptr), most, *flags);
}

void Session::set_callbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, Callbacks::invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::stream_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, Callbacks::frame_not_sent);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, Callbacks::send_data);
}

// False: the client has sent too many of these.
bool Session::count_frame(const nghttp2_frame_hd& head) {
  const bool ack = (head.flags & NGHTTP2_FLAG_ACK) != 0;
  const bool ends_stream = (head.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (head.type) {
    case NGHTTP2_RST_STREAM:
      return count(Flood::Resets);
    case NGHTTP2_SETTINGS:
      return ack || count(Flood::Settings);
    case NGHTTP2_PING:
      return ack || count(Flood::Pings);
    case NGHTTP2_PRIORITY:
      // Which nghttp2 doesn't look at, as priorities are off.
      if (head.stream_id == 0) nghttp2_session_terminate_session(native_, NGHTTP2_PROTOCOL_ERROR);
      return count(Flood::Priorities);
    case NGHTTP2_WINDOW_UPDATE:
      return count(Flood::WindowUpdates);
    case NGHTTP2_DATA:
      return head.length > 0 || ends_stream || count(Flood::Empty);
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
      return head.length > 0 || count(Flood::Empty);
    default:
      return true;
  }
}

// How much of a stream's output may go into its next DATA frame, which send_data() writes.
ssize_t Session::frame_output(Stream& stream, size_t most, uint32_t& flags) {
  const size_t part = std::min(stream.output().front().size(), most);
  flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (part < stream.output().size()) return static_cast<ssize_t>(part);
  if (!stream.output_ends()) return part > 0 ? static_cast<ssize_t>(part) : ssize_t{NGHTTP2_ERR_DEFERRED};
  flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!stream.trailers().empty()) {
    flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    ResponseFields list;
    list.add_all(stream.trailers());
    nghttp2_submit_trailer(native_, stream.stream_id(), list.list().data(), list.list().size());
  }
  return static_cast<ssize_t>(part);
}

int Session::send_data(Stream& stream, const uint8_t* frame_head, size_t count) {
  constexpr size_t kFrameHeadBytes = 9;
  std::string& out = parts_.output;
  if (out.size() >= output_room_) return NGHTTP2_ERR_WOULDBLOCK;
  out.append(text_of(frame_head, kFrameHeadBytes)).append(stream.output().front().substr(0, count));
  stream.sent(count);
  guard_.sent_data();
  if (stream.output().empty()) drained_.push_back(stream.stream_id());
  return 0;
}

void Session::frame_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_RST_STREAM && is_clients_fault(frame.rst_stream.error_code)) {
    parts_.metrics.add(metrics::Metric::RequestsRefusedMalformed);
    count(Flood::Resets);
  }
  if (frame.hd.type == NGHTTP2_GOAWAY && breaks_protocol(frame.goaway.error_code)) {
    parts_.metrics.add(metrics::Metric::ClosesProtocolError);
  }
  Stream* stream = find(frame.hd.stream_id);
  if (stream == nullptr || (frame.hd.type != NGHTTP2_DATA && frame.hd.type != NGHTTP2_HEADERS)) return;
  if (frame.hd.type == NGHTTP2_HEADERS) stream->head_sent(frame.hd.length);
  // The answer is whole, and the rest of the request unwanted: RFC 9113 section 8.1.
  const bool ends = frame.hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (ends && !stream->request_ended() && !stream->is_tunnel()) {
    nghttp2_submit_rst_stream(native_, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR);
  }
}

}  // namespace beamgate::http2
