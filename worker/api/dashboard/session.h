// Session: what a browser keeps of a login, so that it need not keep the token: when it ends, sealed with the token.
//
// Format     "EXPIRES.NONCE.MAC": Unix seconds, 12 random bytes, and HMAC-SHA256 over both with a key made of the token;
//            the latter two in base64url.  Whoever has the configuration can check it: every worker, after any reload or
//            upgrade.
// End        kSessionSeconds after the login, when its token is not configured any more, or by a logout (ipc::Logouts).
// Source     RFC 6265 for the cookie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"
#include "worker/http/exchange.h"

namespace beamgate::api::dashboard {

constexpr int64_t kSessionSeconds = 12 * 3600;

// The one of `tokens` that was shown; null: none.  All are compared, each in constant time.
const std::string* find_token(std::string_view shown, const std::vector<Secret>& tokens);

std::string make_session(std::string_view token, int64_t now_s);
bool session_valid(std::string_view session, const std::vector<Secret>& tokens, int64_t now_s);

// The cookies of the request that are valid sessions.
std::vector<std::string_view> sessions_of(const http::Request& request, const std::vector<Secret>& tokens, int64_t now_s);
// Unix time; 0 when it is none.
int64_t session_expires_s(std::string_view session);

// A Set-Cookie field.  The browser sends it to what stands beside the page that has set it, and over TLS only when it
// has come that way.
std::string session_cookie(std::string_view session, int64_t max_age_s, bool secure);

}  // namespace beamgate::api::dashboard
