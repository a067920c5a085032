// Served exchange: one request and its response, from the request's head to the response's last byte: all of it that
// doesn't depend on the version of HTTP that carries it.
//
//   request     begin_request() -> the dispatcher routes and admits it -> run(): the handler has it
//   response    decide_head(): the one place where a response's fields are decided, for respond() and begin();
//               write_body(): the one place that every byte of a body passes before it is framed; there it is
//               compressed
//
// Owner      The layer of its connection (http/http_layer.h, http2/), which calls it with what comes from the client.
// Thread     Worker loop thread only.
// Limits     location.body_bytes_max (413), kHighWaterBytes queued before write() says wait, body_timeout (408),
//            send_timeout (cut).  limit_rate: what is above it waits in `paced_`, kHighWaterBytes and one write at most.
// Re-entry   Handlers and attachments may end the exchange from inside any call they get: what that means for the
//            connection is decided when the outermost call returns (Busy), by settle().
// Carrying   The virtual half, implemented by http::Session (HTTP/1) and http2::Stream.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/metrics/metrics.h"
#include "worker/http/exchange.h"
#include "worker/http/gzip_body.h"
#include "worker/http/http_date.h"
#include "worker/http/paced_bytes.h"
#include "worker/http/response_head.h"
#include "worker/http/wakes.h"
#include "worker/net/connections.h"

namespace beamgate::http {

class ServedExchange;

// Finds what answers instead of an error; implemented by the dispatcher.
class ErrorPages {
 public:
  virtual ~ErrorPages() = default;
  virtual bool has_page(ServedExchange& exchange, uint16_t status) = 0;
  // False: nothing does.
  virtual bool show_page(ServedExchange& exchange, uint16_t status) = 0;
};

// What all exchanges of a worker share.
struct ExchangeParts {
  net::Connections& connections;
  metrics::Page& metrics;
  HttpDate date;
  Wakes wakes;
  std::string head_scratch;  // A response head on its way to the connection.
  std::unique_ptr<char[]> file_scratch;
  GzipStreams gzip_streams;
  bool draining = false;  // The worker is about to end: no connection is kept.
  ErrorPages* error_pages = nullptr;
};

class ServedExchange : public Exchange {
 public:
  static constexpr size_t kHighWaterBytes = 64 << 10;
  static constexpr uint64_t kDrainBytesMax = 256 << 10;
  static constexpr int64_t kHalfClosedMs = 1'000;

  // Whether and how the request still comes in.
  enum class BodyState : uint8_t { Reading, Complete, Discarding, Broken };
  //   Pending --- begin() ------> Streaming -- finish() --> Complete
  //   Pending --- respond() ----------------------------> Complete
  //   Pending --- upgrade(), leave() -------------------> Upgraded
  //   Pending --- tunnel() -----------------------------> Streaming, of bytes as they are
  //   Pending, Streaming -- abort(), connection lost ---> Cut
  enum class ResponseState : uint8_t { Pending, Streaming, Complete, Upgraded, Cut };
  // What is to become of what carries it; settle() asks.
  enum class Next : uint8_t { Wait, Discard, Keep, Close, Reset, LetGo };

  explicit ServedExchange(ExchangeParts& parts) : parts_(parts) {}

  // --- For the dispatcher.  Request's config, server and location must be set before anything can be answered.
  Request& request_to_fill() { return request_; }
  virtual void begin_body();  // Once request().location is known.
  void run(Handler& handler);
  // Its answer has this status, whatever its handler says; 0: what its handler says.
  void set_answer_status(uint16_t status) { answer_status_ = status; }
  // Another handler is to be run instead of the one that was, with all of the request's body or without any.
  enum class WithBody : bool { No, Yes };
  void run_again(WithBody with_body);
  bool was_run() const { return was_run_; }
  bool has_whole_body() const;
  // Nothing is read and nobody is asked until then (limit_req); afterwards release(), and as if it had just come.
  void hold(int64_t until_ms);
  void release();
  bool held() const { return held_; }
  void wake();  // Its time has come (Wakes), and it isn't held.
  // Answers, and takes nothing more of its request; an empty text is that of the status.
  void turn_away(uint16_t status, std::vector<ResponseField> fields = {}, std::string text = {});
  // The same of what is at fault itself.  why: what it is counted as.
  void refuse(metrics::Metric why, uint16_t status, std::vector<ResponseField> fields = {}, std::string text = {});
  void refuse(uint16_t status);  // Counted as what the status says.
  // Counts it for a key of limit_conn until its end.  False: that would be more than `limit`.
  [[nodiscard]] virtual bool count_for(uint64_t key, uint32_t limit) = 0;
  virtual void uncount() = 0;  // For all of its keys.

  // --- For its layer.
  void drained();  // queued() is nothing, or little, again.
  void deadline_passed();
  void peer_closed();            // The client ends before the request was whole, or a tunnel.
  // Its FIN has come behind a whole request, and maybe others.  One that has only closed its half still gets its answer,
  // but what doesn't outlive it ends when nothing has been sent to it for kHalfClosedMs.
  void peer_gone();
  void lose() { lost_ = true; }  // The connection is going, or has gone to another phase.
  Next next() const;
  bool is_last() const;  // Its client has said that nothing follows it, and all of it has come.

  record::ConnId connection() const { return connection_; }
  uint32_t number() const { return number_; }
  bool busy() const { return busy_ > 0; }
  uint16_t status() const { return status_; }
  uint64_t body_bytes_sent() const { return body_bytes_sent_; }
  uint64_t bytes_sent() const { return head_bytes_sent_ + body_bytes_sent_; }
  int64_t started_us() const { return started_us_; }
  size_t request_bytes() const { return request_head_bytes_ + static_cast<size_t>(received_); }
  // Still to be answered.
  bool live() const { return number_ != 0 && !lost_ && response_ <= ResponseState::Streaming; }

  // --- Exchange
  void respond_status(uint16_t status) override;
  bool has_error_page(uint16_t status) override;
  const Request& request() const override { return request_; }
  Trace& trace() override { return request_.trace; }
  ExchangeId id() const override { return ExchangeId{connection_, number_}; }
  record::Record& record() override;
  void attach(std::unique_ptr<Attachment> attachment) override;
  void resume_body() override;
  bool body_complete() const override { return body_state_ == BodyState::Complete; }
  void respond(uint16_t status, std::string_view content_type, std::string_view body,
               std::vector<ResponseField> fields = {}) override;
  void begin(ResponseHead head) override;
  bool write(std::string_view bytes) override;
  void finish() override;
  void finish_with_trailers(const std::vector<ResponseField>& trailers) override;
  void inform(uint16_t status, const std::vector<ResponseField>& fields) override;
  void tunnel(const std::vector<ResponseField>& fields) override;
  void finish_with_file(UniqueFd file, uint64_t offset, uint64_t count) override;
  void abort() override;
  void drop() override;
  bool begun() const override { return response_ != ResponseState::Pending; }
  void upgrade(const std::vector<ResponseField>& fields, record::Phase phase) override;
  record::Record* leave(ResponseHead head, record::Phase phase,
                        const std::function<void(record::Record&)>& prepare) override;
  record::Record* postpone(std::vector<ResponseField> fields, record::Phase phase, const Prepare& prepare) override;

 protected:
  // Held while anybody else's code or a composed step runs; the last one to go settles.
  class Busy {
   public:
    explicit Busy(ServedExchange& exchange) : exchange_(exchange) { ++exchange_.busy_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
      if (--exchange_.busy_ == 0 && exchange_.next() != Next::Wait) exchange_.settle();
    }

   private:
    ServedExchange& exchange_;
  };

  struct FileBody {
    UniqueFd file;
    uint64_t offset = 0;
    uint64_t remaining = 0;
  };

  // --- How a version of HTTP carries it.  False, of those that send: nothing can be sent any more.
  // Acts on next(), which is not Wait.
  virtual void settle() = 0;
  // The head, framed as framing_ says, and what there is of a body; `ends`: nothing follows it.
  virtual bool send_head(const ResponseHead& head, const ResponseContext& context, std::string_view body,
                         bool ends) = 0;
  virtual bool send_interim(uint16_t status, const std::vector<ResponseField>& fields) = 0;
  // A piece of the body, through emit().
  virtual bool frame_body(std::string_view bytes) = 0;
  virtual bool frame_end(const std::vector<ResponseField>& trailers) = 0;
  virtual bool send_bytes(std::string_view framed) = 0;
  virtual bool send_continue() = 0;
  // The answer to a request for another protocol, which has been agreed to.
  virtual bool send_switching(const std::vector<ResponseField>& fields) = 0;
  virtual bool can_postpone() const { return false; }
  // Makes record() one that this exchange alone has.  False: there is no room for it.
  virtual bool part() { return true; }
  // The bytes from now on are `phase`'s; or they are the attachment's, as they are.
  virtual void hand_over(record::Phase phase) = 0;
  virtual void open_tunnel() = 0;
  virtual size_t queued() const = 0;                 // Bytes sent that the client has not been seen to take.
  virtual bool leaves_queue() const { return true; }  // They reach the client without this exchange.
  virtual uint64_t progress() const = 0;             // Grows as the client takes what is sent.
  virtual uint16_t fit_status(uint16_t status) const { return status; }
  virtual bool may_keep() const { return true; }
  virtual bool sends_files() const { return false; }
  virtual bool send_file() { return false; }  // The next part of file_, of which copies may be saved.
  // The request's bytes: not for now; again; again, but not from within this call.
  virtual void stop_reading() = 0;
  virtual void go_on_reading() = 0;
  virtual void go_on_reading_later() = 0;
  virtual void took_body(size_t bytes) { static_cast<void>(bytes); }
  virtual void set_deadline(int64_t at_ms) = 0;  // 0: none.

  // --- For it.
  void begin_request(record::ConnId connection, uint32_t number, size_t head_bytes);
  void move_to(record::ConnId connection) { connection_ = connection; }
  // False in `go_on`: no more for now.  Returns how much of it is done with.
  size_t give_body(std::string_view data, bool& go_on);
  void end_body();
  bool emit(std::string_view framed);
  void wait_for_gone();
  bool is_abandoned();
  void arm_deadline();
  void discard_rest();  // Of the request.
  void cut();
  size_t waiting() const { return paced_.waiting(); }
  void clear();  // For the next use; the attachment dies here.

  ExchangeParts& parts_;
  Request request_;
  BodyState body_state_ = BodyState::Complete;
  ResponseState response_ = ResponseState::Pending;
  Framing framing_ = Framing::NoBody;
  bool keep_alive_ = true;
  bool lost_ = false;
  bool continue_due_ = false;   // The client waits for "100 Continue".
  bool finishing_ = false;      // finish() has been called; there is still something to be sent.
  uint64_t length_left_ = 0;    // Framing::Length: bytes of body still promised.
  uint64_t head_bytes_sent_ = 0;
  uint64_t body_bytes_sent_ = 0;
  FileBody file_;

 private:
  void decide_head(ResponseHead& head);
  void add_location_fields(ResponseHead& head);
  bool trace_sent(const std::vector<ResponseField>& fields);
  void trace_sent(const ResponseHead& head, const FramingChoice& choice);
  bool start_response(ResponseHead& head, std::string_view body, bool ends);
  ResponseContext response_context();
  bool write_body(std::string_view bytes, bool more_follows);
  bool write_coded(std::string_view bytes);
  void end_response();
  void give_body_end();
  bool give_body_again();
  void wait_for_handler();
  bool switch_protocols(const std::vector<ResponseField>& fields);
  void pump_file();
  bool copy_file();
  void take_turns();
  bool pump_paced();
  void room_again();
  bool all_gone() const { return waiting() == 0 && (leaves_queue() || queued() == 0); }
  bool has_room() const { return waiting() == 0 && queued() < kHighWaterBytes; }
  bool sending() const { return live() && (writer_waits_ || finishing_ || file_.file.valid()); }

  record::ConnId connection_;
  uint32_t number_ = 0;  // 0: not in use.
  std::unique_ptr<Attachment> attachment_;
  // Attachments that were replaced or have ended while their own code may be running.
  std::vector<std::unique_ptr<Attachment>> retired_;

  uint16_t status_ = 0;
  uint16_t answer_status_ = 0;
  bool tunnel_ = false;
  bool reset_ = false;  // Cut so that it can't be taken for an ordinary end.
  bool end_delivered_ = false;
  bool body_forgotten_ = false;  // Whoever answers gets nothing of it.
  bool was_run_ = false;
  std::string body_again_;       // Taken by a handler before; to be given to this one first.
  bool body_paused_ = false;   // The attachment took less than it was given.
  bool resume_asked_ = false;  // ... and has called resume_body() since.
  bool writer_waits_ = false;  // write() has said so; on_writable() is owed.
  bool held_ = false;
  bool wake_due_ = false;
  int busy_ = 0;

  GzipBody gzip_;
  PacedBytes paced_;
  uint64_t received_ = 0;   // Of the request's body.
  uint64_t discarded_ = 0;  // Of it, since nobody wants it.
  size_t request_head_bytes_ = 0;
  uint64_t sent_mark_ = 0;  // progress() when the send timeout was armed,
  uint64_t gone_mark_ = 0;  // and at gone_since_ms_.
  int64_t gone_since_ms_ = 0;  // The client has sent its FIN; 0: it has not.
  int64_t started_us_ = 0;
};

}  // namespace beamgate::http
