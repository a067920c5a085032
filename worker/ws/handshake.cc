#include "worker/ws/handshake.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "worker/http/cross_origin.h"
#include "worker/ws/token_list.h"

namespace beamgate::ws {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr size_t kKeyBytes = 16;

size_t count_fields(const http::Request& request, std::string_view name) {
  return static_cast<size_t>(std::count_if(request.fields.begin(), request.fields.end(),
                                           [&](const http::Field& field) { return iequals(field.name, name); }));
}

bool any_field_has_token(const http::Request& request, std::string_view name, std::string_view token) {
  return std::any_of(request.fields.begin(), request.fields.end(), [&](const http::Field& field) {
    return iequals(field.name, name) && has_token(field.value, token);
  });
}

bool valid_key(std::string_view key) {
  const auto decoded = crypto::base64_decode(key);
  return decoded && decoded->size() == kKeyBytes;
}

// Each element of Sec-WebSocket-Protocol: a token, none twice (RFC 6455 section 4.1, point 10).
bool valid_subprotocols(const http::Request& request) {
  std::vector<std::string_view> seen;
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "Sec-WebSocket-Protocol")) continue;
    HeaderCursor cursor(field.value);
    size_t empty = 0;
    size_t named = 0;
    do {
      if (cursor.at_empty()) {
        ++empty;
        continue;
      }
      ++named;
      const std::string_view name = cursor.take_token();
      if (name.empty() || std::find(seen.begin(), seen.end(), name) != seen.end()) return false;
      seen.push_back(name);
    } while (cursor.take(','));
    if (!cursor.at_end() || named == 0 || empty > HeaderCursor::kEmptyElementsMax) return false;
  }
  return true;
}

}  // namespace

std::optional<Refusal> refuse_handshake(const http::Request& request) {
  if (!any_field_has_token(request, "Upgrade", "websocket")) return Refusal{426, "This is a WebSocket endpoint.\n"};
  if (request.method != "GET") return Refusal{405, "A WebSocket handshake is a GET request.\n"};
  if (request.version_minor < 1) return Refusal{400, "A WebSocket handshake needs HTTP/1.1.\n"};
  if (!any_field_has_token(request, "Connection", "upgrade")) return Refusal{400, "Connection: Upgrade is missing.\n"};
  if (request.has_body()) return Refusal{400, "A WebSocket handshake has no body.\n"};
  if (count_fields(request, "Sec-WebSocket-Version") > 1) return Refusal{400, "More than one Sec-WebSocket-Version.\n"};
  if (request.field("Sec-WebSocket-Version") != "13") return Refusal{426, "Only WebSocket version 13 is spoken here.\n"};
  if (count_fields(request, "Sec-WebSocket-Key") != 1 || !valid_key(request.field("Sec-WebSocket-Key"))) {
    return Refusal{400, "Sec-WebSocket-Key must be 16 bytes in base64.\n"};
  }
  if (count_fields(request, "Origin") > 1) return Refusal{400, "More than one Origin.\n"};
  if (!valid_subprotocols(request)) return Refusal{400, "Malformed Sec-WebSocket-Protocol.\n"};
  return std::nullopt;
}

bool origin_allowed(const http::Request& request, const config::WebSocketAction& action) {
  return http::origin_allowed(request, action.origins);
}

bool offers_subprotocol(const http::Request& request, std::string_view name) {
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "Sec-WebSocket-Protocol")) continue;
    HeaderCursor cursor(field.value);
    do {
      if (cursor.take_token() == name) return true;  // Names are compared with case.
    } while (cursor.take(','));
  }
  return false;
}

std::string_view choose_subprotocol(const http::Request& request, const config::WebSocketAction& action) {
  const auto chosen = std::find_if(action.subprotocols.begin(), action.subprotocols.end(),
                                   [&](const std::string& name) { return offers_subprotocol(request, name); });
  return chosen == action.subprotocols.end() ? std::string_view() : std::string_view(*chosen);
}

std::string accept_key(std::string_view key) {
  std::string text(key);
  text += kGuid;
  return crypto::base64_encode(crypto::sha1(text));
}

}  // namespace beamgate::ws
