#include "common/crypto/jwt.h"

#include <cmath>
#include <limits>

#include "common/crypto/crypto.h"

namespace beamgate::crypto {
namespace {

constexpr json::Limits kPartLimits{.bytes = JwtVerifier::kTokenBytesMax, .depth = 16, .values = 2'000};

// Base64url of a JSON object.
std::optional<json::Value> object_in(std::string_view part) {
  const auto bytes = base64url_decode(part);
  if (!bytes) return std::nullopt;
  auto parsed = json::parse(*bytes, kPartLimits);
  if (!parsed || !parsed.value().is_object()) return std::nullopt;
  return std::move(parsed).value();
}

// A NumericDate (RFC 7519 section 2), rounded down; false: there is one, and it is none.
bool read_date(const json::Value& claims, std::string_view name, std::optional<int64_t>& out) {
  const json::Value* claim = claims.find(name);
  if (claim == nullptr) return true;
  const auto seconds = claim->as_double();
  constexpr double kMost = 9e15;  // Whole numbers up to here are exact.
  if (!seconds || !(std::fabs(*seconds) <= kMost)) return false;
  out = static_cast<int64_t>(std::floor(*seconds));
  return true;
}

bool contains(const json::Value* audience, std::string_view wanted) {
  if (audience == nullptr) return false;
  if (audience->as_string() == wanted) return true;
  const json::Value::Array* list = audience->as_array();
  if (list == nullptr) return false;
  for (const json::Value& one : *list) {
    if (one.as_string() == wanted) return true;
  }
  return false;
}

}  // namespace

std::string_view text_of(JwtStatus status) {
  switch (status) {
    case JwtStatus::Valid: return "valid";
    case JwtStatus::Malformed: return "malformed";
    case JwtStatus::NotSigned: return "not signed";
    case JwtStatus::Expired: return "expired";
    case JwtStatus::NotYet: return "not yet valid";
    case JwtStatus::WrongAudience: return "wrong audience";
    case JwtStatus::WrongIssuer: return "wrong issuer";
  }
  return {};
}

Jwt JwtVerifier::verify(std::string_view token, int64_t now_s) const {
  Jwt out;
  if (token.size() > kTokenBytesMax) return out;
  const size_t first = token.find('.');
  const size_t second = token.find('.', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos) return out;

  const auto header = object_in(token.substr(0, first));
  const auto signature = base64url_decode(token.substr(second + 1));
  if (!header || !signature || header->has("crit")) return out;
  if (header->has("kid") && !header->get_string("kid")) return out;

  out.status = JwtStatus::NotSigned;
  const auto algorithm = signing_algorithm(header->get_string("alg").value_or(""));
  if (!algorithm) return out;
  const std::string_view id = header->get_string("kid").value_or("");
  if (!keys_.verify(*algorithm, id, token.substr(0, second), *signature)) return out;

  auto claims = object_in(token.substr(first + 1, second - first - 1));
  if (claims) out.claims = *std::move(claims);
  out.status = claims ? check_claims(out, now_s) : JwtStatus::Malformed;
  if (!out.valid() && out.status != JwtStatus::Expired) out.claims = {};
  return out;
}

JwtStatus JwtVerifier::check_claims(Jwt& token, int64_t now_s) const {
  std::optional<int64_t> expires_s;
  std::optional<int64_t> not_before_s;
  if (!read_date(token.claims, "exp", expires_s) || !read_date(token.claims, "nbf", not_before_s)) {
    return JwtStatus::Malformed;
  }
  if (!issuer_.empty() && token.claims.get_string("iss") != issuer_) return JwtStatus::WrongIssuer;
  if (!audience_.empty() && !contains(token.claims.find("aud"), audience_)) return JwtStatus::WrongAudience;
  if (not_before_s && *not_before_s > now_s + kClockSkewS) return JwtStatus::NotYet;
  if (!expires_s) return JwtStatus::Valid;
  if (now_s >= *expires_s) return JwtStatus::Expired;
  token.expires_s = *expires_s;
  return JwtStatus::Valid;
}

std::string claim_text(const json::Value& claims, std::string_view name) {
  const json::Value* claim = claims.find(name);
  if (claim == nullptr) return {};
  if (const auto text = claim->as_string()) return std::string(*text);
  if (const auto number = claim->as_int()) return std::to_string(*number);
  if (const auto number = claim->as_uint()) return std::to_string(*number);
  return {};
}

}  // namespace beamgate::crypto
