#include "worker/api/dashboard/session.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::api::dashboard {
namespace {

constexpr std::string_view kCookie = "beamgate_dashboard";
constexpr std::string_view kPurpose = "beamgate dashboard session 1";
constexpr size_t kNonceBytes = 12;

// Another key than the token itself, so that its MACs are of no use where else the token may be one.
std::string mac_of(std::string_view token, std::string_view what) {
  return crypto::base64url_encode(crypto::hmac_sha256(crypto::hmac_sha256(token, kPurpose), what));
}

}  // namespace

const std::string* find_token(std::string_view shown, const std::vector<Secret>& tokens) {
  const std::string* found = nullptr;
  for (const Secret& token : tokens) {
    if (crypto::constant_time_equal(shown, token) && !token.empty()) found = &token;
  }
  return found;
}

std::string make_session(std::string_view token, int64_t now_s) {
  std::string nonce(kNonceBytes, '\0');
  crypto::fill_random(nonce.data(), nonce.size());
  const std::string sealed = std::to_string(now_s + kSessionSeconds) + '.' + crypto::base64url_encode(nonce);
  return sealed + '.' + mac_of(token, sealed);
}

bool session_valid(std::string_view session, const std::vector<Secret>& tokens, int64_t now_s) {
  const size_t dot = session.rfind('.');
  if (dot == session.npos) return false;
  const std::string_view sealed = session.substr(0, dot);
  bool genuine = false;
  for (const Secret& token : tokens) {
    genuine |= crypto::constant_time_equal(session.substr(dot + 1), mac_of(token, sealed)) && !token.empty();
  }
  return genuine && now_s < session_expires_s(session);
}

int64_t session_expires_s(std::string_view session) {
  const std::string_view number = session.substr(0, session.find('.'));
  uint64_t expires_s = 0;
  return parse_decimal(number, expires_s) && expires_s <= INT64_MAX ? static_cast<int64_t>(expires_s) : 0;
}

std::vector<std::string_view> sessions_of(const http::Request& request, const std::vector<Secret>& tokens, int64_t now_s) {
  std::vector<std::string_view> out;
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "Cookie")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      const size_t equals = pair.find('=');
      if (equals != pair.npos && pair.substr(0, equals) == kCookie &&
          session_valid(pair.substr(equals + 1), tokens, now_s)) {
        out.push_back(pair.substr(equals + 1));
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return out;
}

std::string session_cookie(std::string_view session, int64_t max_age_s, bool secure) {
  std::string out = std::string(kCookie) + '=' + std::string(session) + "; Max-Age=" + std::to_string(max_age_s) +
                    "; HttpOnly; SameSite=Strict";
  if (secure) out += "; Secure";
  return out;
}

}  // namespace beamgate::api::dashboard
