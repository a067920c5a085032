#include "worker/proto/phoenix/handshake.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/crypto.h"
#include "common/crypto/jwt.h"

namespace beamgate::proto::phoenix {
namespace {

constexpr std::string_view kTokenPrefix = "base64url.bearer.phx.";

// Either alphabet, with or without padding.
std::string decode(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string padded(text);
  std::replace(padded.begin(), padded.end(), '-', '+');
  std::replace(padded.begin(), padded.end(), '_', '/');
  padded.append((4 - padded.size() % 4) % 4, '=');
  return crypto::base64_decode(padded).value_or("");
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

bool speaks_version(const http::Request& request) {
  const std::string version = request.argument("vsn");
  return version == "2" || version == "2.0" || version.starts_with("2.0.");
}

std::string auth_token(const http::Request& request) {
  if (const std::string_view token = request.field("X-Phoenix-AuthToken"); !token.empty())
    return std::string(token);
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "Sec-WebSocket-Protocol")) continue;
    for (std::string_view list = field.value; !list.empty();) {
      const size_t comma = std::min(list.find(','), list.size());
      const std::string_view name = trim(list.substr(0, comma));
      if (name.starts_with(kTokenPrefix)) return decode(name.substr(kTokenPrefix.size()));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return {};
}

Credentials credentials_of(const http::Request& request) {
  Credentials credentials;
  credentials.token = auth_token(request);
  const auto& rules = request.location->websocket.token;
  if (rules == nullptr) return credentials;
  const std::string token = credentials.token.empty() ? request.argument("token") : credentials.token;
  const crypto::Jwt jwt = rules->verifier->verify(token, wall_ms() / 1000);
  if (jwt.valid()) credentials.user = crypto::claim_text(jwt.claims, rules->user_claim);
  credentials.accepted = !credentials.user.empty();
  return credentials;
}

std::string token_fields(std::string_view token) {
  if (token.empty() || !is_printable(token)) return {};
  return std::string("beamgate-auth-token: ").append(token).append("\r\n");
}

}  // namespace beamgate::proto::phoenix
