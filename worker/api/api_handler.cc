#include "worker/api/api_handler.h"

#include "worker/api/api_key.h"
#include "worker/api/batch.h"
#include "worker/api/connection_resource.h"
#include "worker/record/uid.h"
#include "worker/settings.h"

namespace beamgate::api {
namespace {

constexpr std::string_view kJsonType = "application/json";

void refuse(http::Exchange& exchange, uint16_t status, ErrorCode code, std::string_view detail,
            std::vector<http::ResponseField> fields = {}) {
  exchange.respond(status, kJsonType, to_json(Reply::failed(code, detail)).dump(), std::move(fields));
}

// False: answered.
bool admit(http::Exchange& exchange) {
  switch (check_access(exchange.request(), exchange.request().location->api.keys)) {
    case Access::Granted:
      return true;
    case Access::KeyWanted:
      refuse(exchange, 401, ErrorCode::Unauthorized, {}, {{"WWW-Authenticate", "apikey"}});
      return false;
    case Access::BrowserRefused:
      refuse(exchange, 403, ErrorCode::PermissionDenied, "an API without a key is not for pages in a browser");
      return false;
  }
  return false;
}

bool admit_method(http::Exchange& exchange, const Route& route) {
  const std::string_view method = exchange.request().method;
  const bool reads = method == "GET" || method == "HEAD";
  if (route.kind == Route::Kind::Connections) {
    if (!reads) refuse(exchange, 405, ErrorCode::BadRequest, "use another HTTP method", {{"Allow", "GET, HEAD"}});
    return reads;
  }
  const bool resource = route.kind == Route::Kind::Connection || route.kind == Route::Kind::User ||
                        route.kind == Route::Kind::Channel;
  if (method == "POST") return true;
  if (resource && (reads || method == "DELETE")) return true;
  refuse(exchange, 405, ErrorCode::BadRequest, "use another HTTP method",
         {{"Allow", resource ? "POST, GET, HEAD, DELETE" : "POST"}});
  return false;
}

std::string_view idempotency_key(const http::Request& request) {
  const std::string_view key = request.field("Idempotency-Key");
  return key.empty() ? request.field("X-Idempotency-Key") : key;
}

// An empty body is what clients send for a method without parameters.
Result<json::Value> parse_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return json::Value::object();
  return json::parse(body);
}

}  // namespace

ApiHandler::ApiHandler(Context& context, http::Exchanges& exchanges, proto::ConnectionOps& ops)
    : context_(context),
      exchanges_(exchanges),
      connections_(context, ops),
      nodes_(context),
      taps_(context, connections_),
      channels_(context, nodes_),
      publishing_(context.hub, context.remote),
      users_(context),
      methods_(publishing_, connections_, nodes_, channels_, users_),
      named_(context, connections_, channels_, publishing_) {}

void ApiHandler::handle(http::Exchange& exchange) {
  if (!admit(exchange)) return context_.metrics.add(metrics::Metric::RequestsRefusedToken);
  const Route route = route_of(exchange.request());
  if (route.kind == Route::Kind::Unknown) return refuse(exchange, 404, ErrorCode::NotFound, "no such method");
  serve(exchange, route);
}

void ApiHandler::serve(http::Exchange& exchange, const Route& route) {
  if (!admit_method(exchange, route)) return;
  const auto run = [this, route](http::Exchange& complete, std::string&& body) { on_body(complete, route, std::move(body)); };
  exchange.attach(http::collect_body(exchanges_, exchange.id(), context_.metrics, run));
}

void ApiHandler::on_body(http::Exchange& exchange, const Route& route, std::string&& body) {
  switch (route.kind) {
    case Route::Kind::Single:
      return run_single(exchange, body);
    case Route::Kind::Batch:
      return run_batch_request(exchange, body);
    case Route::Kind::Method:
      if (route.name == "publish" && !exchange.request().argument("channel").empty()) {
        return run_raw_publish(exchange, std::move(body));
      }
      return run_method(exchange, route.name, body);
    case Route::Kind::Connections:
    case Route::Kind::Connection:
    case Route::Kind::User:
    case Route::Kind::Channel:
      return run_on_resource(exchange, route, std::move(body));
    case Route::Kind::Tap:
      return run_tap(exchange, route.name);
    case Route::Kind::Unknown:
      break;
  }
  BG_ASSERT(false && "an unknown route is refused before its body is read");
}

void ApiHandler::run_method(http::Exchange& exchange, const std::string& method, const std::string& body) {
  const Result<json::Value> params = parse_body(body);
  if (!params) return refuse(exchange, 400, ErrorCode::BadRequest, params.error().text);
  const Methods::Caller caller{idempotency_key(exchange.request()), context_.settings.publication_bytes_max()};
  methods_.run(method, params.value(), caller,
               [this, id = exchange.id()](Reply&& reply) { answer_reply(id, std::move(reply)); });
}

void ApiHandler::run_raw_publish(http::Exchange& exchange, std::string&& body) {
  Payload payload;
  const char* problem = nullptr;
  if (!read_body(exchange.request(), std::move(body), payload, problem)) {
    return refuse(exchange, 400, ErrorCode::BadRequest, problem);
  }
  if (payload.bytes.size() > context_.settings.publication_bytes_max()) {
    return refuse(exchange, 413, ErrorCode::LimitExceeded, "data too big");
  }
  publishing_.publish_payload(exchange.request().argument("channel"), payload, idempotency_key(exchange.request()),
                              context_.settings.publication_bytes_max(),
                              [this, id = exchange.id()](Reply&& reply) { answer_reply(id, std::move(reply)); });
}

void ApiHandler::run_single(http::Exchange& exchange, const std::string& body) {
  const Result<json::Value> command = json::parse(body);
  if (!command) return refuse(exchange, 400, ErrorCode::BadRequest, command.error().text);
  const auto method = command.value().get_string("method");
  if (!method) return refuse(exchange, 400, ErrorCode::BadRequest, "method required");
  const json::Value* params = command.value().find("params");
  const json::Value none = json::Value::object();
  const Methods::Caller caller{idempotency_key(exchange.request()), context_.settings.publication_bytes_max()};
  methods_.run(*method, params != nullptr ? *params : none, caller,
               [this, id = exchange.id()](Reply&& reply) { answer_reply(id, std::move(reply)); });
}

void ApiHandler::run_batch_request(http::Exchange& exchange, const std::string& body) {
  Result<json::Value> request = json::parse(body);
  if (!request) return refuse(exchange, 400, ErrorCode::BadRequest, request.error().text);
  const char* problem = nullptr;
  const http::ExchangeId id = exchange.id();
  const auto done = [this, id](std::string&& replies) { answer(id, 200, replies); };
  if (!run_batch(methods_, std::move(request).value(), context_.settings.publication_bytes_max(), done, problem)) {
    refuse(exchange, 400, ErrorCode::BadRequest, problem);
  }
}

void ApiHandler::run_tap(http::Exchange& exchange, const std::string& user) {
  const auto connection = record::parse_uid(exchange.request().argument("connection"));
  if (!connection || *connection == 0) return refuse(exchange, 400, ErrorCode::BadRequest, "connection= is no connection id");
  if (!taps_.renew(user, *connection)) {
    context_.metrics.add(metrics::Metric::RequestsRefusedTaps);
    return refuse(exchange, 503, ErrorCode::TooManyRequests, "too many taps", {{"Retry-After", "1"}});
  }
  Reply reply;
  reply.result.set("lease_ms", ipc::Taps::kLeaseMs);
  answer_reply(exchange.id(), std::move(reply));
}

void ApiHandler::run_on_resource(http::Exchange& exchange, const Route& route, std::string&& body) {
  const auto done = [this, id = exchange.id()](ResourceAnswer&& result) { answer(id, result.status, result.body); };
  if (route.kind == Route::Kind::Connection) {
    return run_resource(connections_, route, exchange.request(), body, context_.settings.publication_bytes_max(), done);
  }
  named_.run(route, exchange.request(), std::move(body), context_.settings.publication_bytes_max(), done);
}

void ApiHandler::answer(http::ExchangeId id, uint16_t status, std::string_view body) {
  http::Exchange* exchange = exchanges_.find(id);
  if (exchange == nullptr) return;  // The asker has gone; what it asked for is done all the same.
  if (body.size() > kAnswerBytesMax) {
    const std::string instead = to_json(Reply::failed(ErrorCode::LimitExceeded, "answer too big")).dump();
    return exchange->respond(200, kJsonType, instead);
  }
  std::vector<http::ResponseField> fields;
  if (status == 503) {
    context_.metrics.add(metrics::Metric::RequestsRefusedBus);
    fields.push_back({"Retry-After", "1"});
  }
  exchange->respond(status, kJsonType, body, std::move(fields));
}

void ApiHandler::answer_reply(http::ExchangeId id, Reply&& reply) {
  const uint16_t status = reply.error == ErrorCode::TooManyRequests ? 503 : 200;
  answer(id, status, to_json(std::move(reply)).dump());
}

}  // namespace beamgate::api
