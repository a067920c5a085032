#include "worker/proto/raw_handshake.h"

#include "common/base/bytes.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/handshake_text.h"
#include "worker/record/text_block.h"

namespace beamgate::proto {
namespace {

using metrics::Metric;

const config::WebSocketAction& action_of(const http::Exchange& exchange) {
  return exchange.request().location->websocket;
}

// What the application may want to know once: where the client comes from and what it offers.
std::string connect_fields(const http::Request& request) {
  std::string out = "beamgate-address: " + request.remote_address + "\r\n";
  if (!request.host.empty()) out += "beamgate-host: " + request.host + "\r\n";
  return out + forwarded_fields(request.fields, {"sec-websocket-protocol"});
}

// An empty answer is 101 without a word about subprotocols.
bool offers(const http::Request& request, std::string_view subprotocol) {
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "sec-websocket-protocol")) continue;
    for (std::string_view list = field.value; !list.empty();) {
      const size_t comma = std::min(list.find(','), list.size());
      if (trim(list.substr(0, comma)) == subprotocol) return true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return false;
}

}  // namespace

// Lives as long as the exchange waits for the application.
class RawHandshake::Cancel final : public http::Attachment {
 public:
  explicit Cancel(hook::Webhooks& webhooks) : webhooks_(webhooks) {}
  ~Cancel() override { webhooks_.cancel(call); }

  hook::Webhooks::CallId call = 0;

 private:
  hook::Webhooks& webhooks_;
};

void RawHandshake::begin(http::Exchange& exchange) {
  forget(exchange.record());  // Of an earlier handshake on this connection that was refused.
  if (!remember(exchange)) return;
  auto cancel = std::make_unique<Cancel>(context_.webhooks);
  Cancel& attached = *cancel;
  exchange.attach(std::move(cancel));
  const config::WebSocketAction& action = action_of(exchange);
  if (action.webhook == nullptr) return let_in(exchange, std::make_shared<hook::Actions>(), {});

  const http::Request& request = exchange.request();
  const std::string fields = connect_fields(request) + forwarded_fields(request.fields, action.webhook->forward_headers) +
                             certificate_fields(request.tls);
  const std::string id = connect_id(exchange.record().uid, exchange.record().keepalive_count);
  hook::Call call{.endpoint = action.webhook, .type = "beamgate.connect", .subject = subjects_.of(exchange.record()),
                  .channel = {}, .id = id, .content_type = "application/octet-stream", .body = {}};
  call.subject.uri = request.target;
  call.subject.forward_fields = fields;
  attached.call = context_.webhooks.call(
      call, [this, exchange_id = exchange.id()](const hook::Reply& reply) { on_reply(exchange_id, reply); });
}

void RawHandshake::on_reply(http::ExchangeId id, const hook::Reply& reply) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return;
  if (reply.accepted()) {
    std::vector<http::ResponseField> fields;
    for (const auto& [name, value] : reply.fields) {
      if (name == "sec-websocket-protocol" && !offers(exchange->request(), value)) {
        context_.log.warn("webhook_action_refused", {{"action", "sec-websocket-protocol"}, {"reason", "not offered"}});
      } else if (name == "set-cookie" || name == "sec-websocket-protocol") {
        fields.push_back({name, value});
      }
    }
    return let_in(*exchange, std::make_shared<hook::Actions>(reply.actions), std::move(fields));
  }
  if (reply.outcome == hook::Outcome::Answered && reply.status >= 400) return pass_on(*exchange, reply);
  if (action_of(*exchange).webhook->on_error == config::Webhook::OnError::Allow) {
    return let_in(*exchange, std::make_shared<hook::Actions>(), {});
  }
  const bool broken = reply.outcome == hook::Outcome::Malformed || reply.outcome == hook::Outcome::TooBig ||
                      reply.outcome == hook::Outcome::Answered;  // Neither yes nor no: a redirect.
  refuse(*exchange, broken ? 502 : 503, "The application can't be asked.\n");
}

void RawHandshake::pass_on(http::Exchange& exchange, const hook::Reply& reply) {
  std::vector<http::ResponseField> fields;
  for (const auto& [name, value] : reply.fields) {
    // Date and Server are ours to say, as for any response that isn't proxied.
    const bool ours = name == "sec-websocket-protocol" || name == "date" || name == "server";
    if (!ours) fields.push_back({name, value});
  }
  context_.metrics.add(Metric::WebSocketHandshakesRefused);
  forget(exchange.record());
  exchange.respond(reply.status, reply.content_type, reply.body, std::move(fields));
}

void RawHandshake::let_in(http::Exchange& exchange, SharedActions actions, std::vector<http::ResponseField> fields) {
  runner_.prepare(exchange.record(), *actions);
  if (!join_channels(exchange)) return;
  ops_.when_confirmed(exchange.record(), [this, id = exchange.id(), actions, fields](record::Record* record) {
    if (record != nullptr) accept(id, actions, fields);
  });
}

void RawHandshake::accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr || !websockets_.accept(*exchange, fields)) return;
  record::Record* open = ops_.find_open(id.connection);
  if (open != nullptr) runner_.complete(*open, actions, [](record::Record*) {});
}

// The handshake's text and channel go into the record.  False: the exchange has been answered.
bool RawHandshake::remember(http::Exchange& exchange) {
  const config::WebSocketAction& action = action_of(exchange);
  const http::Request& request = exchange.request();
  std::string channel;
  std::string fields;
  if (action.webhook != nullptr) {
    fields = forwarded_fields(request.fields, action.webhook->forward_headers) + certificate_fields(request.tls);
  } else if (!action.publish.empty()) {
    http::expand(action.publish, request, exchange.record(), channel);
    if (!hub::Hub::valid_channel(channel)) {
      refuse(exchange, 400, "This is no name of a channel to publish to.\n");
      return false;
    }
  }
  record::touch(context_.arena, exchange.record());
  if (record::assign_text(context_.arena, exchange.record().handshake, encode_handshake({channel, fields}))) return true;
  refuse(exchange, 503, "No memory.\n");
  return false;
}

bool RawHandshake::join_channels(http::Exchange& exchange) {
  for (const config::Template& name : action_of(exchange).subscribe) {
    std::string channel;
    http::expand(name, exchange.request(), exchange.record(), channel);
    const auto subscribed = ops_.subscribe(exchange.record(), channel);
    if (subscribed.ok()) continue;
    if (subscribed.error().code == Code::Invalid) {
      refuse(exchange, 400, "This is no name of a channel to subscribe to.\n");
    } else {
      refuse(exchange, 503, "No room for this subscription.\n");
    }
    return false;
  }
  return true;
}

void RawHandshake::refuse(http::Exchange& exchange, uint16_t status, std::string_view text) {
  context_.metrics.add(Metric::WebSocketHandshakesRefused);
  forget(exchange.record());
  exchange.respond(status, "text/plain", text);
}

// The connection goes on as an HTTP connection and is nobody again.
void RawHandshake::forget(record::Record& record) {
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  record::touch(context_.arena, record);
  for (record::Ref* text : {&record.user, &record.app_state, &record.handshake}) {
    record::assign_text(context_.arena, *text, {});
  }
}

}  // namespace beamgate::proto
