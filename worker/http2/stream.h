// Stream: an exchange as HTTP/2 carries it: one of many on its connection, with flow control of its own.
//
// Owner      Session, from its HEADERS until both nghttp2 and the exchange are done with it.
// Thread     Worker loop thread only.
// Request    Bytes of the body that the handler doesn't take wait here; the client gets no credit for them, so they are
//            http2_body_preread_size at most.
// Response   Bytes wait here until nghttp2 frames them, as the client's windows and the connection's queue allow; the
//            handler waits above kHighWaterBytes.
// Limits     Those of http/served_exchange.h.
// Source     RFC 9113 sections 5, 6.9 and 8.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/served_exchange.h"
#include "worker/http2/byte_queue.h"

namespace beamgate::http2 {

class Session;
class Tunnel;

class Stream final : public http::ServedExchange {
 public:
  Stream(http::ExchangeParts& parts, Session& session, int32_t id)
      : ServedExchange(parts), session_(session), stream_id_(id) {}

  int32_t stream_id() const { return stream_id_; }
  Session& session() { return session_; }

  // --- From the session.
  std::string& head() { return head_; }  // What the request's views stand on.
  void begin(record::ConnId connection, uint32_t number) { begin_request(connection, number, head_.size()); }
  using ServedExchange::begin;
  void receive(std::string_view data);  // Of the body, or of a tunnel.
  void receive_end();
  void deliver();                       // What has waited, if it is wanted now.
  bool request_ended() const { return end_received_; }
  int64_t deadline_ms() const { return deadline_ms_; }
  bool take_deadline(int64_t now_ms);   // True, and it has none any more: it has passed.
  void end_exchange();                  // It is over, whoever has ended it.
  bool over() const { return over_; }
  bool closed() const { return closed_; }
  void close();                         // nghttp2 knows it no more.
  void clear() { ServedExchange::clear(); }

  // --- From its tunnel, once the stream has become a WebSocket's, or another layer's.
  void set_tunnel(Tunnel* tunnel) { tunnel_ = tunnel; }
  bool is_link(const Tunnel* tunnel) const { return tunnel_ == tunnel; }
  bool is_tunnel() const { return upgraded_; }
  void tunnel_ended();
  std::string_view input() const { return in_.front(); }
  void took_input(size_t bytes);
  void add_output(std::string_view bytes) { static_cast<void>(send_bytes(bytes)); }
  void end_output() { static_cast<void>(frame_end({})); }

  // --- What nghttp2 may frame.
  const ByteQueue& output() const { return out_; }
  void sent(size_t bytes);
  void output_drained();  // Outside of nghttp2.
  void head_sent(size_t bytes) { head_bytes_sent_ += bytes; }
  bool output_ends() const { return ended_ && waiting() == 0; }  // With what is there.
  const std::vector<http::ResponseField>& trailers() const { return trailers_; }

  [[nodiscard]] bool count_for(uint64_t key, uint32_t limit) override;
  void uncount() override;

 private:
  void settle() override;
  bool send_head(const http::ResponseHead& head, const http::ResponseContext& context, std::string_view body,
                 bool ends) override;
  bool send_interim(uint16_t status, const std::vector<http::ResponseField>& fields) override;
  bool send_continue() override { return send_interim(100, {}); }
  bool frame_body(std::string_view bytes) override { return emit(bytes); }
  bool frame_end(const std::vector<http::ResponseField>& trailers) override;
  bool send_bytes(std::string_view bytes) override;
  bool send_switching(const std::vector<http::ResponseField>& fields) override;
  bool part() override;
  void hand_over(record::Phase phase) override;
  void open_tunnel() override;
  size_t queued() const override { return out_.size(); }
  bool leaves_queue() const override { return false; }
  uint64_t progress() const override { return sent_bytes_; }
  void stop_reading() override { stopped_ = true; }
  void go_on_reading() override;
  uint16_t fit_status(uint16_t status) const override;
  void go_on_reading_later() override { go_on_reading(); }
  void set_deadline(int64_t at_ms) override;

  bool too_large(size_t more) const;

  Session& session_;
  const int32_t stream_id_;
  std::string head_;
  ByteQueue in_;
  ByteQueue out_;
  std::vector<http::ResponseField> trailers_;
  std::vector<uint32_t> counts_;  // Of limit_conn: entries of the keys it is counted for.
  uint64_t sent_bytes_ = 0;
  uint64_t body_received_ = 0;
  int64_t deadline_ms_ = 0;
  Tunnel* tunnel_ = nullptr;    // Of a request for a WebSocket, or one that has left HTTP: its record's link.
  bool upgraded_ = false;       // The stream is that record's now.
  bool stopped_ = false;        // The handler takes nothing more for now.
  bool delivering_ = false;
  bool end_received_ = false;
  bool end_given_ = false;
  bool ended_ = false;          // The response is complete with what is in out_.
  bool over_ = false;
  bool closed_ = false;
};

}  // namespace beamgate::http2
