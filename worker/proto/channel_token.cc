#include "worker/proto/channel_token.h"

#include "common/base/clock.h"

namespace beamgate::proto {

crypto::Jwt verify_channel_token(const config::WebSocketAction* action, std::string_view token, std::string_view channel,
                                 std::string_view user) {
  if (action == nullptr || action->token == nullptr) return {};
  crypto::Jwt jwt = action->token->verifier->verify(token, wall_ms() / 1000);
  const bool fits = jwt.valid() && jwt.claims.get_string("channel") == channel &&
                    crypto::claim_text(jwt.claims, action->token->user_claim) == user;
  if (jwt.valid() && !fits) jwt.status = crypto::JwtStatus::Malformed;
  return jwt;
}

}  // namespace beamgate::proto
