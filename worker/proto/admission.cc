#include "worker/proto/admission.h"

#include <memory>
#include <utility>

#include "common/base/bytes.h"
#include "worker/hub/hub.h"
#include "worker/net/connections.h"
#include "worker/proto/handshake_text.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::proto {
namespace {

using metrics::Metric;

const std::shared_ptr<const config::Webhook>& webhook_of(const http::Exchange& exchange) {
  return exchange.request().location->websocket.webhook;
}

// What the application may want to know once: where the client comes from and what it offers.
std::string connect_fields(const http::Request& request) {
  return address_fields(request) + forwarded_fields(request.fields, {"sec-websocket-protocol"});
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

std::vector<http::ResponseField> passed_fields(const hook::Reply& reply) {
  std::vector<http::ResponseField> fields;
  for (const auto& [name, value] : reply.fields) {
    // Date and Server are ours to say, as for any response that isn't proxied.
    const bool ours = name == "sec-websocket-protocol" || name == "date" || name == "server";
    if (!ours) fields.push_back({name, value});
  }
  return fields;
}

uint16_t status_without_answer(const hook::Reply& reply) {
  const bool broken = reply.outcome == hook::Outcome::Malformed || reply.outcome == hook::Outcome::TooBig ||
                      reply.outcome == hook::Outcome::Answered;  // Neither yes nor no: a redirect.
  return broken ? 502 : 503;
}

void Door::turn_away(http::Exchange& exchange, record::Record&, uint16_t status, std::string_view content_type,
                     std::string_view body, std::vector<http::ResponseField> fields) {
  exchange.respond(status, content_type, body, std::move(fields));
}

// Lives as long as the exchange waits for the application.
class Admission::Cancel final : public http::Attachment {
 public:
  explicit Cancel(hook::Webhooks& webhooks) : webhooks_(webhooks) {}
  ~Cancel() override { webhooks_.cancel(call); }
  bool outlives_client() const override { return false; }

  hook::Webhooks::CallId call = 0;

 private:
  hook::Webhooks& webhooks_;
};

void Admission::begin(http::Exchange& exchange, record::Record& record, Door& door, const Applicant& applicant) {
  forget(record);  // Of an earlier handshake on this connection that was refused.
  if (!remember(exchange, record, applicant)) {
    return refuse(exchange, record, door, Metric::WebSocketHandshakesMemory, 503, "No memory.\n");
  }
  auto cancel = std::make_unique<Cancel>(context_.webhooks);
  Cancel& attached = *cancel;
  exchange.attach(std::move(cancel));
  const auto& webhook = webhook_of(exchange);
  if (webhook == nullptr) return door.let_in(exchange, record, std::make_shared<hook::Actions>(), {});

  const http::Request& request = exchange.request();
  const std::string fields = connect_fields(request).append(applicant.connect_fields) + kept_fields(request, *webhook);
  const std::string id = connect_id(record.uid, record.keepalive_count);
  hook::Call call{.endpoint = webhook, .type = "beamgate.connect", .subject = subjects_.of(record),
                  .channel = {}, .id = id, .content_type = "application/octet-stream", .body = {}};
  call.subject.uri = request.target;
  call.subject.forward_fields = fields;
  const record::ConnId connection = context_.connections.id_of(record);
  attached.call = context_.webhooks.call(
      call, [this, exchange_id = exchange.id(), connection, &door](const hook::Reply& reply) {
        on_reply(exchange_id, connection, door, reply);
      });
}

// False: no memory, or no user that a connection may have.
bool Admission::remember(const http::Exchange& exchange, record::Record& record, const Applicant& applicant) {
  const auto& webhook = webhook_of(exchange);
  const std::string fields = webhook == nullptr ? std::string() : kept_fields(exchange.request(), *webhook);
  record::touch(context_.arena, record);
  const HandshakeText text{.publish_channel = applicant.publish_channel, .session = applicant.session,
                           .forward_fields = fields};
  if (!record::assign_text(context_.arena, record.handshake, encode_handshake(text))) return false;
  return applicant.user.empty() || ops_.set_user(record, applicant.user).ok();
}

void Admission::on_reply(http::ExchangeId id, record::ConnId connection, Door& door, const hook::Reply& reply) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return;
  record::Record* record = context_.connections.find(connection);
  if (record == nullptr) return exchange->abort();
  if (reply.accepted()) {
    std::vector<http::ResponseField> fields;
    for (const auto& [name, value] : reply.fields) {
      if (name == "sec-websocket-protocol" && !offers(exchange->request(), value)) {
        context_.log.warn("webhook_action_refused",
                          {{"connection", record::format_uid(record->uid)}, {"action", "sec-websocket-protocol"}, {"reason", "not offered"}});
      } else if (name == "set-cookie" || name == "sec-websocket-protocol") {
        fields.push_back({name, value});
      }
    }
    return door.let_in(*exchange, *record, std::make_shared<hook::Actions>(reply.actions), std::move(fields));
  }
  if (reply.outcome == hook::Outcome::Answered && reply.status >= 400) return pass_on(*exchange, *record, door, reply);
  if (webhook_of(*exchange)->on_error == config::Webhook::OnError::Allow) {
    return door.let_in(*exchange, *record, std::make_shared<hook::Actions>(), {});
  }
  refuse(*exchange, *record, door, Metric::WebSocketHandshakesUnreachable, status_without_answer(reply),
         "The application can't be asked.\n");
}

void Admission::pass_on(http::Exchange& exchange, record::Record& record, Door& door, const hook::Reply& reply) {
  turn_away(exchange, record, door, Metric::WebSocketHandshakesApplication, reply.status, reply.content_type,
            reply.body, passed_fields(reply));
}

void Admission::refuse(http::Exchange& exchange, record::Record& record, Door& door, Metric why, uint16_t status,
                       std::string_view text, std::vector<http::ResponseField> fields) {
  turn_away(exchange, record, door, why, status, "text/plain", text, std::move(fields));
}

void Admission::turn_away(http::Exchange& exchange, record::Record& record, Door& door, Metric why, uint16_t status,
                          std::string_view content_type, std::string_view body,
                          std::vector<http::ResponseField> fields) {
  context_.metrics.add(why);
  forget(record);
  door.turn_away(exchange, record, status, content_type, body, std::move(fields));
}

// The connection goes on as it was and is nobody again.
void Admission::forget(record::Record& record) {
  context_.hub.unsubscribe_all(record);
  ops_.forget(record);
  static_cast<void>(context_.connections.set_user(record, {}));
  for (record::Ref* text : {&record.app_state, &record.handshake}) {
    record::assign_text(context_.arena, *text, {});
  }
}

}  // namespace beamgate::proto
