#include "worker/http/announced_clients.h"

#include <cstring>

#include "common/base/clock.h"
#include "worker/http/client_address.h"
#include "worker/net/proxy_header.h"
#include "worker/record/uid.h"

namespace beamgate::http {
namespace {

using record::Endpoint;
using record::Phase;
using record::Record;

Endpoint peer_of(const Record& record) {
  Endpoint out;
  out.family = record.peer_family;
  out.port = record.peer_port;
  memcpy(out.address, record.peer_address, sizeof out.address);
  return out;
}

}  // namespace

void AnnouncedClients::drain() {
  connections_.for_each([this](Record& record) {
    if (record.phase == Phase::Announced) connections_.close_now(record);
  });
}

void AnnouncedClients::on_enter(Record& record) {
  const config::Server& server = dispatcher_.default_server(record.listen_id);
  connections_.set_deadline(record, monotonic_ms() + server.header_timeout_ms);
}

size_t AnnouncedClients::on_bytes(Record& record, std::span<const char> bytes) {
  const net::ProxyHeader header = net::parse_proxy_header({bytes.data(), bytes.size()});
  if (header.kind == net::ProxyHeader::Kind::NeedMore) return 0;
  if (header.kind == net::ProxyHeader::Kind::Malformed) {
    refuse(record, "malformed");
    return bytes.size();
  }
  const record::Announcement announced{
      .peer = peer_of(record), .source = header.source, .destination = header.destination, .present = 1};
  const config::RealIp& real_ip = dispatcher_.default_server(record.listen_id).fallback.real_ip;
  const bool believed = header.source.family != 0 && real_ip.by_proxy_protocol() &&
                        is_trusted(real_ip.trusted, ClientAddress::of(record));
  if (!connections_.announce(record, announced, believed ? header.source : announced.peer)) {
    connections_.close_now(record);
    return bytes.size();
  }
  connections_.enter_phase(record, Phase::Http);
  return header.bytes;
}

void AnnouncedClients::refuse(Record& record, const char* reason) {
  metrics_.add(metrics::Metric::ConnectionsRefusedProxyHeader);
  log_.info("proxy_header_refused", {{"connection", record::format_uid(record.uid)}, {"peer", ClientAddress::of(record).text()}, {"reason", reason}});
  connections_.close_now(record);
}

void AnnouncedClients::on_end(Record& record) {
  if (record.carry_bytes > 0) return refuse(record, "cut");
  connections_.close_now(record);  // A look whether somebody listens, as balancers have.
}

void AnnouncedClients::on_deadline(Record& record) { refuse(record, "late"); }

void AnnouncedClients::on_adopted(Record& record) {
  if (record.deadline_tick == 0) on_enter(record);
}

}  // namespace beamgate::http
