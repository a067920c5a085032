#include "worker/proto/pusher/signature.h"

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::pusher {
namespace {

bool verify_auth(const config::App& app, std::string_view text, std::string_view auth) {
  const std::string wanted = app.key + ":" + sign(app.secret, text);
  return crypto::constant_time_equal(wanted, auth);
}

}  // namespace

std::string sign(std::string_view secret, std::string_view text) { return to_hex(crypto::hmac_sha256(secret, text)); }

bool verify(std::string_view secret, std::string_view text, std::string_view hex) {
  return crypto::constant_time_equal(sign(secret, text), hex);
}

bool verify_channel(const config::App& app, std::string_view socket_id, std::string_view channel,
                    std::string_view channel_data, std::string_view auth) {
  std::string text = std::string(socket_id).append(1, ':').append(channel);
  if (!channel_data.empty()) text.append(1, ':').append(channel_data);
  return verify_auth(app, text, auth);
}

bool verify_user(const config::App& app, std::string_view socket_id, std::string_view user_data,
                 std::string_view auth) {
  return verify_auth(app, std::string(socket_id).append("::user::").append(user_data), auth);
}

}  // namespace beamgate::pusher
