// Session: an exchange as HTTP/1 carries it: one at a time on its connection, its framing in the byte stream.
//
// Owner      HttpLayer, from a pool.  It exists only while its request is in flight; between two requests of
//            a connection there is nothing but the record.
// Thread     Worker loop thread only.
// Limits     kDrainBytesMax of a body nobody wants before the connection is closed instead; served_exchange.h for
//            the others.
// Source     RFC 9112.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/body_reader.h"
#include "worker/http/served_exchange.h"

namespace beamgate::http {

class Session;

class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // Acts on Session::next(), which is not Wait.
  virtual void settle(Session& session) = 0;
  // The connection is not the session's any more.
  virtual void hand_over(Session& session, record::Phase phase) = 0;
};

class Session final : public ServedExchange {
 public:
  Session(ExchangeParts& parts, SessionOwner& owner) : ServedExchange(parts), owner_(owner) {}

  // Copies the head, so that the request's views have something to stand on.
  void begin(record::ConnId connection, uint32_t number, std::string_view head);
  using ServedExchange::begin;
  std::string_view head() const { return head_; }
  size_t take_body(record::Record& record, std::string_view bytes);
  void begin_discard() { discard_rest(); }
  void clear();

  void begin_body() override;
  [[nodiscard]] bool count_for(uint64_t key, uint32_t limit) override;
  void uncount() override;

 private:
  void settle() override { owner_.settle(*this); }
  bool send_head(const ResponseHead& head, const ResponseContext& context, std::string_view body, bool ends) override;
  bool send_interim(uint16_t status, const std::vector<ResponseField>& fields) override;
  bool send_continue() override;
  bool frame_body(std::string_view bytes) override;
  bool frame_end(const std::vector<ResponseField>& trailers) override;
  bool send_bytes(std::string_view framed) override;
  bool send_switching(const std::vector<ResponseField>& fields) override;
  void hand_over(record::Phase phase) override { owner_.hand_over(*this, phase); }
  void open_tunnel() override;
  bool can_postpone() const override { return true; }
  size_t queued() const override;
  uint64_t progress() const override;
  bool may_keep() const override;
  bool sends_files() const override { return true; }
  bool send_file() override;
  void stop_reading() override;
  void go_on_reading() override;
  void go_on_reading_later() override;
  void took_body(size_t bytes) override { body_.took(bytes); }
  void set_deadline(int64_t at_ms) override;

  bool send(std::string_view head, std::string_view body = {});
  const record::Record& its_record() const;

  SessionOwner& owner_;
  std::string head_;
  BodyReader body_;
};

}  // namespace beamgate::http
