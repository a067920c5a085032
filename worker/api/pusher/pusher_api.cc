#include "worker/api/pusher/pusher_api.h"

#include "common/base/assert.h"
#include "common/base/clock.h"
#include "common/config/app_channels.h"
#include "worker/api/pusher/signed_request.h"
#include "worker/proto/pusher/frames.h"
#include "worker/settings.h"

namespace beamgate::api::pusher {
namespace {

void respond(http::Exchange& exchange, const Answer& answer, std::vector<http::ResponseField> fields = {}) {
  if (answer.status == 503) fields.push_back({"Retry-After", "1"});
  exchange.respond(answer.status, answer.status == 200 ? "application/json" : "text/plain", answer.body, std::move(fields));
}

std::string argument(const http::Request& request, std::string_view name) {
  for (auto& [key, value] : query_parameters(request.query, true)) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace

Route route_of(std::string_view path) {
  constexpr std::string_view kApps = "/apps/";
  constexpr std::string_view kChannels = "channels/";
  constexpr std::string_view kListUsers = "/users";
  constexpr std::string_view kUsers = "users/";
  constexpr std::string_view kTerminate = "/terminate_connections";
  using Kind = Route::Kind;
  Route route;
  const size_t apps = path.find(kApps);
  if (apps == std::string_view::npos) return route;
  path.remove_prefix(apps + kApps.size());
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return route;
  route.app = path.substr(0, slash);
  std::string_view rest = path.substr(slash + 1);
  if (rest == "events") route.kind = Kind::Events;
  if (rest == "batch_events") route.kind = Kind::BatchEvents;
  if (rest == "channels") route.kind = Kind::Channels;
  if (rest == "connections") route.kind = Kind::Connections;
  if (rest.starts_with(kChannels) && rest.size() > kChannels.size()) {
    rest.remove_prefix(kChannels.size());
    route.kind = rest.ends_with(kListUsers) ? Kind::Users : Kind::Channel;
    if (route.kind == Kind::Users) rest.remove_suffix(kListUsers.size());
    route.name = rest;
  } else if (rest.starts_with(kUsers) && rest.ends_with(kTerminate) && rest.size() > kUsers.size() + kTerminate.size()) {
    route.kind = Kind::Terminate;
    route.name = rest.substr(kUsers.size(), rest.size() - kUsers.size() - kTerminate.size());
  }
  return route;
}

PusherApi::PusherApi(Context& context, http::Exchanges& exchanges, ConnectionCalls& connections, NodeCalls& nodes)
    : context_(context),
      exchanges_(exchanges),
      connections_(connections),
      nodes_(nodes),
      channels_(context, nodes),
      events_(context, channels_) {}

std::shared_ptr<const config::App> PusherApi::app_of(const http::Request& request, const Route& route) const {
  const auto& chosen = request.location->websocket.apps;
  for (const auto& app : chosen) {
    if (app->id == route.app) return app;
  }
  if (!chosen.empty()) return nullptr;
  for (const auto& [name, app] : request.config->http.apps) {
    if (app->id == route.app) return app;
  }
  return nullptr;
}

void PusherApi::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const Route route = route_of(request.path);
  if (route.kind == Route::Kind::Unknown) return respond(exchange, Answer::failed(404, "There is no such call."));
  const std::string_view method = route.is_get() ? "GET" : "POST";
  if (request.method != method) {
    return respond(exchange, Answer::failed(405, "Use another HTTP method."), {{"Allow", std::string(method)}});
  }
  const auto run = [this, route](http::Exchange& complete, std::string&& body) { on_body(complete, route, body); };
  exchange.attach(http::collect_body(exchanges_, exchange.id(), context_.metrics, run));
}

void PusherApi::on_body(http::Exchange& exchange, const Route& route, const std::string& body) {
  const http::Request& request = exchange.request();
  const auto app = app_of(request, route);
  const SignedRequest signed_request{request.method, request.target.substr(0, request.target.find('?')), request.path,
                                     request.query, body};
  const char* refusal = app == nullptr ? "Unknown app id.\n" : refuse_request(*app, signed_request, wall_ms() / 1000);
  if (refusal != nullptr) {
    context_.metrics.add(metrics::Metric::RequestsRefusedToken);
    return exchange.respond(401, "text/plain", refusal);
  }
  Done done = [this, id = exchange.id()](Answer&& answer) {
    http::Exchange* open = exchanges_.find(id);
    if (open == nullptr) return;
    if (answer.status == 503) context_.metrics.add(metrics::Metric::RequestsRefusedBus);
    respond(*open, answer);
  };
  const Info info = parse_info(argument(request, "info"));
  const uint64_t bytes_max = context_.settings.publication_bytes_max();
  switch (route.kind) {
    case Route::Kind::Events: return publish(*app, parse_event_request(body, bytes_max), false, std::move(done));
    case Route::Kind::BatchEvents: return publish(*app, parse_batch_request(body, bytes_max), true, std::move(done));
    case Route::Kind::Channels: return channels_.list(*app, argument(request, "filter_by_prefix"), info, std::move(done));
    case Route::Kind::Channel: return channels_.look(*app, route.name, info, std::move(done));
    case Route::Kind::Users: return channels_.users(*app, route.name, std::move(done));
    case Route::Kind::Connections: return count_connections(std::move(done));
    case Route::Kind::Terminate: return terminate(config::user_on_node(*app, route.name), std::move(done));
    case Route::Kind::Unknown: break;
  }
  BG_ASSERT(false && "an unknown route is refused before its body is read");
}

void PusherApi::publish(const config::App& app, EventRequest&& request, bool batch, Done done) {
  if (request.refused.status != 0) return done(std::move(request.refused));
  events_.run(app, std::move(request.events), batch, std::move(done));
}

void PusherApi::terminate(const std::string& user, Done done) {
  ConnectionCall call;
  call.op = ConnectionOp::Close;
  call.user = user;
  call.code = beamgate::pusher::kErrorUnauthorized;
  call.reason = "terminated";
  connections_.run(call, [done = std::move(done)](ConnectionCalls::Outcome&& outcome) {
    done(outcome.asked ? Answer{} : Answer::busy());
  });
}

void PusherApi::count_connections(Done done) {
  nodes_.clients([done = std::move(done)](Reply&& reply) {
    if (!reply.ok()) return done(Answer::busy());
    done(Answer::of(json::Value().set("connections", reply.result.get_uint("num_clients").value_or(0))));
  });
}

}  // namespace beamgate::api::pusher
