#include "worker/api/grip_publish.h"

#include <memory>
#include <optional>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/crypto/crypto.h"
#include "common/crypto/jwt.h"
#include "common/json/value.h"
#include "worker/api/api_key.h"
#include "worker/hub/hub.h"
#include "worker/settings.h"
#include "worker/ws/application.h"

namespace beamgate::api {

struct GripItem {
  std::string channel;
  std::string bytes;
  bool binary = false;
  std::string meta;          // A JSON object, for filters; empty: none.
  uint16_t close_code = 0;   // Not 0: the channel's subscribers are closed,
  std::string close_reason;  // with this.
};

namespace {

constexpr std::string_view kBearer = "bearer ";

bool has_good_token(const http::Request& request, const std::vector<Secret>& keys) {
  std::string_view token = request.field("Authorization");
  if (token.size() <= kBearer.size() || !iequals(token.substr(0, kBearer.size()), kBearer)) return false;
  token = trim(token.substr(kBearer.size()));
  crypto::SigningKeys signing;
  bool shown = false;
  for (const Secret& key : keys) {
    shown |= crypto::constant_time_equal(token, key) && !key.empty();
    if (!key.empty()) signing.add_secret(key);
  }
  return shown || crypto::JwtVerifier(std::move(signing), {}, {}).verify(token, wall_ms() / 1000).valid();
}

// False: the exchange is answered.
bool admit_publisher(http::Exchange& exchange, metrics::Page& metrics) {
  const http::Request& request = exchange.request();
  const std::vector<Secret>& keys = request.location->api.keys;
  if (request.method != "POST") {
    exchange.respond(405, "text/plain", "Method not allowed\n", {{"Allow", "POST"}});
    return false;
  }
  const Access access = check_access(request, keys);
  if (access == Access::Granted || (access == Access::KeyWanted && has_good_token(request, keys))) return true;
  metrics.add(metrics::Metric::RequestsRefusedToken);
  if (access == Access::KeyWanted) {
    exchange.respond(401, "text/plain", "Unauthorized\n", {{"WWW-Authenticate", "Bearer"}});
  } else {
    exchange.respond(403, "text/plain", "Publishing without a key is not for pages in a browser\n");
  }
  return false;
}

// A problem, or null.
const char* read_close(const json::Value& message, GripItem& item) {
  const uint64_t code = message.has("code") ? message.get_uint("code").value_or(0) : uint64_t{ws::kCloseNormal};
  if (!proto::ConnectionOps::valid_close_code(code)) return "not a close code";
  item.close_code = static_cast<uint16_t>(code);
  item.close_reason = message.get_string("reason").value_or("");
  return nullptr;
}

// Nothing: there is nothing to publish; problem: why it can't be.
std::optional<GripItem> read_item(const json::Value& value, const char*& problem) {
  const auto channel = value.get_string("channel");
  const json::Value* formats = value.find("formats");
  const json::Value* message = (formats != nullptr ? *formats : value).find("ws-message");
  if (!channel || !hub::Hub::valid_channel(*channel)) return problem = "item without a channel", std::nullopt;
  if (message == nullptr) return std::nullopt;
  GripItem item{.channel = std::string(*channel)};
  const std::string_view action = message->get_string("action").value_or("send");
  if (action == "close") {
    problem = read_close(*message, item);
    return problem == nullptr ? std::optional(std::move(item)) : std::nullopt;
  }
  if (action != "send") return problem = "the action of a ws-message is send or close", std::nullopt;
  const auto type = message->get_string("type");
  if (type && *type != "text" && *type != "binary") return std::nullopt;
  if (const auto encoded = message->get_string("content-bin")) {
    const auto bytes = crypto::base64_decode(*encoded);
    if (!bytes) return problem = "content-bin is not base64", std::nullopt;
    item.bytes = *bytes;
    item.binary = type.value_or("binary") == "binary";
  } else if (const auto content = message->get_string("content")) {
    item.bytes = *content;
    item.binary = type.value_or("text") == "binary";
  } else {
    return problem = "ws-message without content", std::nullopt;
  }
  if (!item.binary && !valid_utf8(item.bytes)) return problem = "text is not UTF-8", std::nullopt;
  const json::Value* meta = value.find("meta");
  if (meta != nullptr && meta->is_object()) item.meta = meta->dump();
  if (item.meta.size() > ipc::kMetaBytesMax) return problem = "meta too big", std::nullopt;
  return item;
}

// Nothing of a list is published where one of its items can't be read.
const char* read_items(const std::string& body, uint64_t bytes_max, std::vector<GripItem>& items) {
  const auto document = json::parse(body);
  const json::Value::Array* list = document.ok() ? document.value().get_array("items") : nullptr;
  if (list == nullptr) return "no items";
  if (list->size() > GripPublish::kItemsMax) return "too many items";
  const char* problem = nullptr;
  for (const json::Value& value : *list) {
    auto item = read_item(value, problem);
    if (problem == nullptr && item && item->bytes.size() > bytes_max) problem = "content too big";
    if (problem != nullptr) return problem;
    if (item) items.push_back(std::move(*item));
  }
  return nullptr;
}

}  // namespace

void GripPublish::handle(http::Exchange& exchange) {
  if (!admit_publisher(exchange, context_.metrics)) return;
  const auto run = [this](http::Exchange& complete, std::string&& body) { on_body(complete, body); };
  exchange.attach(http::collect_body(exchanges_, exchange.id(), context_.metrics, run));
}

void GripPublish::on_body(http::Exchange& exchange, const std::string& body) {
  std::vector<GripItem> items;
  const char* problem = read_items(body, context_.settings.publication_bytes_max(), items);
  if (problem != nullptr) return exchange.respond(400, "text/plain", std::string(problem) + "\n");
  for (const GripItem& item : items) {
    if (item.close_code == 0 ? publish(item) : close(item)) continue;
    context_.metrics.add(metrics::Metric::RequestsRefusedBus);
    return exchange.respond(503, "text/plain", "The bus is full\n", {{"Retry-After", "1"}});
  }
  const bool json = exchange.request().field("Accept").find("application/json") != std::string_view::npos;
  exchange.respond(200, json ? "application/json" : "text/plain",
                   json ? "{\"message\":\"Published\"}\n" : "Published\n");
}

bool GripPublish::publish(const GripItem& item) {
  hub::PublishOptions options;
  options.kind = item.binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text;
  options.origin.meta = item.meta;
  return context_.hub.publish(item.channel, item.bytes, options);
}

bool GripPublish::close(const GripItem& item) {
  ConnectionCall call;
  call.op = ConnectionOp::Close;
  call.subscribed_to = item.channel;
  call.code = item.close_code;
  call.reason = item.close_reason;
  const auto asked = std::make_shared<bool>(true);  // What isn't asked is told at once, and what was asked later.
  connections_.run(call, [asked](ConnectionCalls::Outcome&& outcome) { *asked = outcome.asked; });
  return *asked;
}

}  // namespace beamgate::api
