// HTTP/2 layer: every connection in phase Http2.
//
// A connection comes here from phase Http, as soon as ALPN has chosen h2 or its first bytes are the client preface.
//
// Owner      Layers; one per worker.
// Thread     Worker loop thread only.
// Limits     session.h.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "worker/http/dispatcher.h"
#include "worker/http2/session.h"
#include "worker/net/connections.h"
#include "worker/net/phase_handler.h"

namespace beamgate::http2 {

class Layer final : public net::PhaseHandler, public http::Carrier {
 public:
  Layer(net::Connections& connections, http::Dispatcher& dispatcher, metrics::Page& metrics, log::Log& log);
  ~Layer() override;

  // Behind Connections::end_turn(): what was said outside of a connection's own turn is sent.  True: something was.
  bool end_turn();
  bool has_pending_turn() const { return !pumped_.empty(); }
  // The worker is about to end: no new streams; connections end with the last they have.
  void drain();

  // http::Carrier
  http::ServedExchange* exchange_of(http::ExchangeId id) override;

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  bool may_move(const record::Record&) override { return false; }
  void on_gone(record::Record& record) override;

  // --- From the sessions.
  void pump_later(const Session& session) { pumped_.push_back(session.connection()); }
  void remember(Stream& stream) { streams_[stream.number()] = &stream; }
  void forget(uint32_t number) { streams_.erase(number); }
  void retire(std::unique_ptr<Stream> stream) { retired_streams_.push_back(std::move(stream)); }

 private:
  Session* session_of(const record::Record& record);
  void reap();

  net::Connections& connections_;
  metrics::Page& metrics_;
  SessionParts parts_;
  std::vector<std::unique_ptr<Session>> sessions_;  // By slot.
  std::unordered_map<uint32_t, Stream*> streams_;   // By number: those whose exchange lives.
  std::vector<record::ConnId> pumped_;
  // Ended, to be destroyed once no code of theirs can run.
  std::vector<std::unique_ptr<Stream>> retired_streams_;
  std::vector<std::unique_ptr<Session>> retired_sessions_;
};

}  // namespace beamgate::http2
