#include "worker/proto/pusher/greeting.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/app_channels.h"
#include "worker/proto/pusher/frames.h"
#include "worker/proto/pusher/socket_id.h"

namespace beamgate::pusher {

using metrics::Metric;

namespace {

constexpr uint64_t kProtocolMin = 5;
constexpr uint64_t kProtocolMax = 7;

std::string_view text_of(uint16_t code) {
  switch (code) {
    case kErrorNoProtocol: return "No protocol version supplied.";
    case kErrorBadProtocol: return "Unsupported protocol version.";
    case kErrorBadVersion: return "Invalid version string format.";
    case kErrorUnknownApp: return "App key not in this server.";
    case kErrorUnauthorized: return "Connection not authorized.";
    case kErrorOverCapacity: return "Try again.";
    default: return "";
  }
}

// Clients only notice messages; where the gateway doesn't ask for signs of life, they have to send some in time.
int64_t activity_timeout_s(const config::WebSocketAction& action) {
  if (action.ping_interval_ms > 0 || action.idle_timeout_ms == 0) return Greeting::kActivityTimeoutS;
  return std::clamp<int64_t>(action.idle_timeout_ms / 2000, 1, Greeting::kActivityTimeoutS);
}

}  // namespace

uint16_t refuse_protocol(const http::Request& request) {
  const std::string protocol = request.argument("protocol");
  uint64_t number = 0;
  if (protocol.empty()) return kErrorNoProtocol;
  if (!parse_decimal(protocol, number) || number < kProtocolMin || number > kProtocolMax) return kErrorBadProtocol;
  const std::string version = request.argument("version");
  if (!version.empty() && (version[0] < '0' || version[0] > '9')) return kErrorBadVersion;
  return kErrorNone;
}

std::string_view key_in_path(std::string_view path) {
  constexpr std::string_view kBefore = "/app/";
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash + 1 < kBefore.size()) return {};
  return path.substr(0, slash + 1).ends_with(kBefore) ? path.substr(slash + 1) : std::string_view();
}

Greeting::Greeting(Clients& clients, http::Exchanges& exchanges, ws::WebSockets& websockets, proto::Subjects& subjects)
    : clients_(clients),
      exchanges_(exchanges),
      websockets_(websockets),
      bus_wait_(clients.context()),
      runner_(clients.context(), clients.ops(), bus_wait_),
      admission_(clients.context(), exchanges, clients.ops(), subjects) {}

void Greeting::begin(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const auto app = clients_.app_of_key(request.location->websocket, key_in_path(request.path));
  uint16_t code = refuse_protocol(request);
  Metric reason = Metric::WebSocketHandshakesMalformed;
  if (code == kErrorNone && app == nullptr) {
    code = kErrorUnknownApp;
    reason = Metric::WebSocketHandshakesToken;
  }
  if (code != kErrorNone) {
    clients_.context().metrics.add(reason);
    return end(exchange, code);
  }
  const std::string session = session_text({.app = app->id, .user = {}, .user_info = {}});
  admission_.begin(exchange, exchange.record(), *this, {.user = {}, .publish_channel = {}, .session = session, .connect_fields = {}});
}

// The user that the application names is one of the app's.
void Greeting::let_in(http::Exchange& exchange, record::Record& record, proto::SharedActions actions,
                      std::vector<http::ResponseField> fields) {
  const auto app = clients_.app_of(record);
  if (app != nullptr && !app->channel_prefix.empty() && actions->user && !actions->user->empty()) {
    auto own = std::make_shared<hook::Actions>(*actions);
    own->user = config::user_on_node(*app, *actions->user);
    actions = std::move(own);
  }
  runner_.prepare(record, *actions);
  clients_.ops().when_confirmed(record, [this, id = exchange.id(), actions, fields](record::Record* confirmed) {
    if (confirmed != nullptr) accept(id, actions, fields);
  });
}

void Greeting::accept(http::ExchangeId id, const proto::SharedActions& actions,
                      const std::vector<http::ResponseField>& fields) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return;
  const int64_t timeout_s = activity_timeout_s(exchange->request().location->websocket);
  if (!websockets_.accept(*exchange, fields)) return;
  record::Record* open = clients_.ops().find_open(id.connection);
  if (open == nullptr) return;
  const auto app = clients_.app_of(*open);
  if (app != nullptr && !clients_.count(*open, *app)) {
    return clients_.end(*open, Metric::ClosesConnectionsMax, kErrorOverCapacity,
                        "This app has as many connections as it may have.");
  }
  clients_.send(*open, established_frame(format_socket_id(open->uid), timeout_s));
  open = clients_.ops().find_open(id.connection);
  if (open != nullptr) runner_.complete(*open, actions, [](record::Record*) {});
}

void Greeting::turn_away(http::Exchange& exchange, record::Record&, uint16_t status, std::string_view, std::string_view,
                         std::vector<http::ResponseField>) {
  end(exchange, status == 429 || status >= 500 ? kErrorOverCapacity : kErrorUnauthorized);
}

void Greeting::end(http::Exchange& exchange, uint16_t code) {
  const record::ConnId id = exchange.id().connection;
  if (!websockets_.accept(exchange)) return;
  record::Record* open = clients_.ops().find_open(id);
  if (open != nullptr) clients_.end(*open, Metric::ClosesHandshake, code, text_of(code));
}

}  // namespace beamgate::pusher
