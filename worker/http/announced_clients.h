// Announced clients: connections in phase Announced, whose first bytes are a PROXY protocol header.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Trust      The announced address becomes the client's, for limits, logs and everything else, when the socket's peer is
//            in the default server's set_real_ip_from and its real_ip_header is proxy_protocol; else it is only told by
//            the variables, as in nginx.
// Limits     net::ProxyHeader::kBytesMax, and client_header_timeout of the default server.
// Errors     A malformed header, or none in time, closes the connection without an answer: nobody knows what the
//            bytes are.
#pragma once

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "worker/http/dispatcher.h"
#include "worker/net/connections.h"
#include "worker/net/phase_handler.h"

namespace beamgate::http {

class AnnouncedClients final : public net::PhaseHandler {
 public:
  AnnouncedClients(net::Connections& connections, Dispatcher& dispatcher, metrics::Page& metrics, log::Log& log)
      : connections_(connections), dispatcher_(dispatcher), metrics_(metrics), log_(log) {}

  void drain();  // The worker is about to end: who hasn't said anything yet goes.

  void on_enter(record::Record& record) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record&) override {}
  void on_deadline(record::Record& record) override;
  bool may_move(const record::Record&) override { return false; }
  void on_adopted(record::Record& record) override;
  void on_gone(record::Record&) override {}

 private:
  void refuse(record::Record& record, const char* reason);

  net::Connections& connections_;
  Dispatcher& dispatcher_;
  metrics::Page& metrics_;
  log::Log& log_;
};

}  // namespace beamgate::http
