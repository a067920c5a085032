// Session: one request of one connection and its response, from parsed head to the last byte.
//
// Owner      HttpLayer, from a pool.  It exists only while its request is in flight; between two requests of
//            a connection there is nothing but the record.
// Thread     Worker loop thread only.
// Limits     location.body_bytes_max (413), kHighWaterBytes queued before write() says wait, kDrainBytesMax
// of a
//            body nobody wants before the connection is closed instead; body_timeout (408), send_timeout
//            (cut).  limit_rate: what is above it waits in `waiting_`, kHighWaterBytes and one write at most.
// Re-entry   Handlers and attachments may end the exchange from inside any call they get: what that means
//            for the connection is decided when the outermost call returns (Busy), by the owner's settle().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/metrics/metrics.h"
#include "worker/http/body_reader.h"
#include "worker/http/exchange.h"
#include "worker/http/http_date.h"
#include "worker/http/response_head.h"
#include "worker/net/connections.h"

namespace beamgate::http {

class Session;

// What sessions share.
struct SessionParts {
  net::Connections& connections;
  metrics::Page& metrics;
  HttpDate date;
  std::string head_scratch;  // A response head on its way to the connection.
  std::unique_ptr<char[]> file_scratch;
  bool draining = false;  // The worker is about to end: no connection is kept.
};

class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // Acts on Session::next(), which is not Wait.
  virtual void settle(Session& session) = 0;
  // The connection is not the session's any more.
  virtual void hand_over(Session& session, record::Phase phase) = 0;
  // Calls wake(), or goes on with a session that is held, at this monotonic time.
  virtual void wake_at(Session& session, int64_t at_ms) = 0;
};

class Session final : public Exchange {
 public:
  static constexpr size_t kHighWaterBytes = 64 << 10;
  static constexpr uint64_t kDrainBytesMax = 256 << 10;

  // Whether and how the request still comes in.
  enum class BodyState : uint8_t { Reading, Complete, Discarding, Broken };
  //   Pending --- begin() ------> Streaming -- finish() --> Complete
  //   Pending --- respond() ----------------------------> Complete
  //   Pending --- upgrade() ----------------------------> Upgraded
  //   Pending --- tunnel() -----------------------------> Streaming, of bytes as they are
  //   Pending, Streaming -- abort(), connection lost ---> Cut
  enum class ResponseState : uint8_t { Pending, Streaming, Complete, Upgraded, Cut };
  // What is to become of the connection; settle() asks.
  enum class Next : uint8_t { Wait, Discard, Keep, Close, Reset, LetGo };

  Session(SessionParts& parts, SessionOwner& owner) : parts_(parts), owner_(owner) {}

  // --- For the owner.
  // Copies the head, so that the request's views have something to stand on.  Request's config, server and
  // location must be set before anything can be answered.
  void begin_request(record::ConnId connection, uint32_t number, std::string_view head);
  std::string_view head() const { return head_; }
  Request& request_to_fill() { return request_; }
  void begin_body();  // Once request().location is known.
  void run(Handler& handler);
  // Nothing is read and nobody is asked until then (limit_req); afterwards release(), and as if it had just come.
  void hold(int64_t until_ms);
  void release();
  bool held() const { return held_; }
  void wake();  // The time of wake_at() has come, and it isn't held.
  size_t take_body(record::Record& record, std::string_view bytes);
  // Answers and closes; an empty text is that of the status.
  void refuse(uint16_t status, std::vector<ResponseField> fields = {}, std::string text = {});
  void drained();                                                        // The connection's queue is empty.
  void deadline_passed();
  void peer_closed();            // FIN before the body was whole.
  void lose() { lost_ = true; }  // The connection is going, or has gone to another phase.
  Next next() const;
  void begin_discard(record::Record& record);
  void clear();  // For the next use; the attachment dies here.

  record::ConnId connection() const { return connection_; }
  uint32_t number() const { return number_; }
  bool busy() const { return busy_ > 0; }
  uint16_t status() const { return status_; }
  uint64_t body_bytes_sent() const { return body_bytes_sent_; }
  uint64_t bytes_sent() const { return head_bytes_sent_ + body_bytes_sent_; }
  int64_t started_us() const { return started_us_; }
  size_t request_bytes() const { return head_.size() + static_cast<size_t>(body_.received()); }
  // Still to be answered.
  bool live() const { return number_ != 0 && !lost_ && response_ <= ResponseState::Streaming; }

  // --- Exchange
  const Request& request() const override { return request_; }
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

 private:
  // Held while anybody else's code or a composed step runs; the last one to go settles.
  class Busy {
   public:
    explicit Busy(Session& session) : session_(session) { ++session_.busy_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
      if (--session_.busy_ == 0 && session_.next() != Next::Wait) session_.owner_.settle(session_);
    }

   private:
    Session& session_;
  };

  struct FileBody {
    UniqueFd file;
    uint64_t offset = 0;
    uint64_t remaining = 0;
  };

  bool send(std::string_view head, std::string_view body = {});
  bool may_keep() const;
  void write_head(const ResponseHead& head, std::string& out);
  void add_location_fields(ResponseHead& head);
  void end_body();
  void give_body_end();
  bool give_body(record::Record& record, std::string_view data, size_t& taken);
  void wait_for_handler();
  void arm_deadline();
  void send_continue();
  void pump_file();
  bool copy_file();
  bool send_file();
  bool write_framed(std::string_view bytes);
  bool send_switching(const std::vector<ResponseField>& fields);
  bool emit(std::string_view bytes);
  bool pump_waiting();
  void waiting_gone();
  size_t waiting() const { return waiting_.size() - waiting_at_; }
  bool sending() const { return live() && (writer_waits_ || finishing_ || file_.file.valid()); }
  void cut();

  SessionParts& parts_;
  SessionOwner& owner_;

  record::ConnId connection_;
  uint32_t number_ = 0;  // 0: not in use.
  std::string head_;
  Request request_;
  BodyReader body_;
  std::unique_ptr<Attachment> attachment_;
  // Attachments that were replaced or have ended while their own code may be running.
  std::vector<std::unique_ptr<Attachment>> retired_;

  BodyState body_state_ = BodyState::Complete;
  ResponseState response_ = ResponseState::Pending;
  Framing framing_ = Framing::NoBody;
  uint16_t status_ = 0;
  bool keep_alive_ = true;
  bool lost_ = false;
  bool tunnel_ = false;
  bool reset_ = false;  // Cut so that it can't be taken for an ordinary end.
  bool end_delivered_ = false;
  bool body_paused_ = false;   // The attachment took less than it was given.
  bool resume_asked_ = false;  // ... and has called resume_body() since.
  bool continue_due_ = false;  // The client waits for "100 Continue".
  bool writer_waits_ = false;  // write() has said so; on_writable() is owed.
  bool held_ = false;
  bool finishing_ = false;     // finish() has been called; `waiting_` is still to be sent.
  bool wake_due_ = false;
  int busy_ = 0;

  uint64_t rate_bytes_ = 0;    // limit_rate; 0: none.
  uint64_t rate_sent_ = 0;     // Of the body, as it is framed.
  int64_t rate_since_ms_ = 0;
  std::string waiting_;        // Of the body, framed, above its rate.
  size_t waiting_at_ = 0;      // So much of it has gone.
  uint64_t length_left_ = 0;  // Framing::Length: bytes of body still promised.
  uint64_t discarded_ = 0;
  uint64_t head_bytes_sent_ = 0;
  uint64_t body_bytes_sent_ = 0;
  uint64_t sent_mark_ = 0;  // Record::bytes_sent when the send timeout was armed.
  int64_t started_us_ = 0;
  FileBody file_;
};

}  // namespace beamgate::http
