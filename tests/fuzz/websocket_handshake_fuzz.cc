// WebSocket handshake: an answer to an offer of compression is one that RFC 7692 section 7.1 lets a server give, and is
// accepted when it is offered in its turn; a subprotocol is one that both know.
// Input: three lines, for Sec-WebSocket-Extensions, Sec-WebSocket-Protocol and Origin.
#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "tests/unit/worker/ws/requests.h"
#include "worker/ws/deflate_offer.h"
#include "worker/ws/handshake.h"
#include "worker/ws/token_list.h"

namespace beamgate::fuzz {
namespace {

void check_offer(std::string_view offer, const config::WebSocketAction& action) {
  ws::testing::UpgradeRequest request;
  const auto answer = ws::negotiate_deflate(request.set("Sec-WebSocket-Extensions", std::string(offer)).get(), action);
  BG_ASSERT(answer.parameters.has_value() == !answer.field.empty());
  BG_ASSERT(!answer.malformed || !answer.parameters);
  if (!answer.parameters) return;
  const ws::DeflateParameters& chosen = *answer.parameters;
  BG_ASSERT(chosen.server_window_bits >= 9 && chosen.server_window_bits <= action.deflate_server_window_bits);
  BG_ASSERT(chosen.client_window_bits >= 8 && chosen.client_window_bits <= 15);
  BG_ASSERT(answer.field.starts_with("permessage-deflate"));
  const auto again = ws::negotiate_deflate(request.set("Sec-WebSocket-Extensions", answer.field).get(), action);
  BG_ASSERT(again.parameters.has_value());
  BG_ASSERT(again.parameters->server_window_bits <= chosen.server_window_bits);
  BG_ASSERT(again.parameters->client_window_bits <= chosen.client_window_bits);
  BG_ASSERT(again.parameters->server_no_takeover || !chosen.server_no_takeover);
}

}  // namespace

FUZZ_TARGET(websocket_handshake) {
  Input input(bytes);
  const std::string_view extensions = input.line(), protocols = input.line(), origin = input.line();
  config::WebSocketAction action;
  action.deflate = true;
  check_offer(extensions, action);
  action.deflate_server_window_bits = 15;
  action.deflate_context_takeover = false;
  check_offer(extensions, action);

  action.subprotocols = {"chat", "v2.chat"};
  action.origins = {"https://*.example.com", "http://a"};
  ws::testing::UpgradeRequest request;
  const http::Request& sent =
      request.set("Sec-WebSocket-Protocol", std::string(protocols)).set("Origin", std::string(origin)).get();
  const std::string_view chosen = ws::choose_subprotocol(sent, action);
  BG_ASSERT(chosen.empty() || chosen == "chat" || chosen == "v2.chat");
  if (!chosen.empty()) BG_ASSERT(ws::offers_subprotocol(sent, chosen) && protocols.find(chosen) != protocols.npos);
  if (!origin.empty() && ws::origin_allowed(sent, action)) {
    const std::string lower = to_lower(origin);
    BG_ASSERT(lower == "http://a" || (lower.starts_with("https://") && lower.ends_with(".example.com")));
  }
  ws::refuse_handshake(request.set("Sec-WebSocket-Key", std::string(origin)).get());
  ws::refuse_handshake(request.set("Connection", std::string(extensions)).get());
  BG_ASSERT(ws::has_token("a, " + std::string(chosen), "a"));
}

}  // namespace beamgate::fuzz
