#include "worker/proto/pusher/client_events.h"

#include "common/config/app_channels.h"
#include "worker/net/connections.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/socket_id.h"

namespace beamgate::pusher {

using record::Record;

void ClientEvents::send(Record& record, const config::App& app, const ClientFrame& frame) {
  using Verdict = proto::ChannelPolicy::Publishing;
  if (frame.event.size() > kEventBytesMax) {
    clients_.context().metrics.add(metrics::Metric::PublicationsRefusedEvent);
    return clients_.error(record, kErrorClientEvent, "The name of a client event is too long.");
  }
  const std::string on_node = config::channel_on_node(app, frame.channel);
  if (const char* why = refusal(record, app, frame, on_node)) {
    policy_.refused(Verdict::Denied);
    return clients_.error(record, kErrorClientEvent, why);
  }
  if (!clients_.admit_event(record, app.client_events_per_second)) {
    policy_.refused(Verdict::TooFast);
    return clients_.error(record, kErrorClientEvent, "Too many client events.");
  }
  hub::Hub& hub = clients_.context().hub;
  Publication publication;
  publication.channel = on_node;
  publication.event = frame.event;
  const auto text = frame.data.as_string();
  publication.data = text ? std::string(*text) : frame.data.is_null() ? std::string("{}") : frame.data.dump();
  publication.kind = text && !json::parse(*text) ? ipc::PayloadKind::Text : ipc::PayloadKind::Json;
  publication.sender = record.uid;
  const auto name = parse_channel(frame.channel);
  const bool presence = name && name->kind == ChannelKind::Presence;
  publication.user = presence ? hub.tag_of(record, on_node) : clients_.ops().user_of(record);
  if (name && name->cache) publication.flags = ipc::kPublishNoHistory;  // The cached one is the application's.
  if (publication.data.size() > kDataBytesMax) {
    policy_.refused(Verdict::TooLarge);
    return clients_.error(record, kErrorClientEvent, "The data of a client event is too big.");
  }
  switch (policy_.may_publish(publication.channel, publication.data.size())) {
    case Verdict::Allowed: break;
    case Verdict::TooFast: return clients_.error(record, kErrorClientEvent, "Too many client events in this channel.");
    case Verdict::Denied:
    case Verdict::TooLarge: return clients_.error(record, kErrorClientEvent, "Clients may not send this to the channel.");
  }
  events_.client_event(app, frame.channel, publication.event, publication.data, format_socket_id(record.uid),
                       presence ? std::string_view(publication.user) : std::string_view());
  publish_when_possible(clients_.context().connections.id_of(record), publication);
}

const char* ClientEvents::refusal(const Record& record, const config::App& app, const ClientFrame& frame,
                                  std::string_view on_node) const {
  const Context& context = clients_.context();
  const auto name = parse_channel(frame.channel);
  if (!app.client_events) return "Client events are not enabled for this app.";
  if (!name || !name->takes_client_events()) return "Client events are for private and presence channels.";
  const bool inside = context.hub.is_subscribed(record, on_node) && !context.hub.is_joining(record, on_node);
  if (!inside) return "Client events are for channels that you are subscribed to.";
  return nullptr;
}

void ClientEvents::publish_when_possible(record::ConnId id, const Publication& publication) {
  if (publish(publication)) return;
  bus_wait_.wait(id, [this, id, publication] { publish_when_possible(id, publication); });
}

bool ClientEvents::publish(const Publication& publication) {
  hub::PublishOptions options;
  options.kind = publication.kind;
  options.except = publication.sender;
  options.origin = {publication.sender, publication.user, publication.event, {}};
  options.flags = publication.flags;
  return clients_.context().hub.publish(publication.channel, publication.data, options);
}

}  // namespace beamgate::pusher
