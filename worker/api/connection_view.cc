#include "worker/api/connection_view.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/json/value.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"
#include "worker/settings.h"

namespace beamgate::api {
std::string format_peer(const record::Record& record) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = record.peer_family;
  if (family != AF_INET && family != AF_INET6) return "unix:";
  if (inet_ntop(family, record.peer_address, text, sizeof text) == nullptr) return {};
  const std::string port = std::to_string(record.peer_port);
  return family == AF_INET6 ? '[' + std::string(text) + "]:" + port : std::string(text) + ':' + port;
}

std::string describe_connection(const Context& context, const record::Record& record) {
  const config::Location* location = context.settings.location(record.location_id);
  json::Value channels = json::Value::array();
  for (std::string_view channel : context.hub.channels_of(record)) {
    if (!channel.starts_with(hub::kUserChannelPrefix)) channels.push(channel);
  }

  json::Value view;
  view.set("id", record::format_uid(record.uid));
  view.set("user", record::text_of(context.arena, record.user));
  view.set("protocol", record::name_of(record.protocol));
  view.set("location", location != nullptr ? location->pattern : std::string());
  view.set("peer", format_peer(record));
  view.set("connected_at", format_rfc3339(record.accepted_ms));
  view.set("bytes_received", record.bytes_received);
  view.set("bytes_sent", record.bytes_sent);
  view.set("messages_received", record.messages_received);
  view.set("messages_sent", record.messages_sent);
  view.set("bytes_queued", record.outbound_bytes);
  view.set("channels", std::move(channels));
  view.set("worker", static_cast<unsigned>(context.worker)).set("slot", static_cast<unsigned>(context.slot));
  return view.dump();
}

}  // namespace beamgate::api
