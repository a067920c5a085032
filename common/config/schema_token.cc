#include <algorithm>

#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/crypto/jwt.h"

namespace beamgate::config {
namespace {

constexpr size_t kSecretBytesSafe = 32;  // RFC 7518 section 3.2.
constexpr size_t kSecretsMax = 2;

void set_secret(Setting& setting) {
  TokenRules& token = *setting.frame.token;
  const std::string& secret = setting.arg();
  if (!setting.is_secret(secret, kSecretBytesSafe)) return;
  if (token.secrets.size() >= kSecretsMax) return setting.fail(0, "more than two secrets");
  token.secrets.push_back(secret);
}

void set_jwks(Setting& setting) {
  const std::string path = setting.path(0);
  Secret text;
  if (!setting.loader.read_file(path, setting.at(), text)) return;
  crypto::SigningKeys keys;
  std::string error;
  if (!keys.add_set(text, error)) return setting.error_at(setting.at(), "no JWK set in \"" + path + "\": " + error);
  setting.frame.token->jwks = std::move(text);
}

void set_user_claim(Setting& setting) {
  if (setting.arg().empty()) return setting.fail(0, "expected the name of a claim");
  setting.frame.token->user_claim = setting.arg();
}

std::shared_ptr<const crypto::JwtVerifier> make_verifier(const TokenRules& token) {
  crypto::SigningKeys keys;
  std::string error;  // The set has been tried.
  if (!token.jwks.empty()) keys.add_set(token.jwks, error);
  for (const Secret& secret : token.secrets) keys.add_secret(secret);
  return std::make_shared<crypto::JwtVerifier>(std::move(keys), token.audience, token.issuer);
}

void define_token(Setting& setting) {
  auto token = std::make_shared<TokenRules>();
  token->name = setting.arg();
  Frame frame;
  frame.scope = kToken;
  frame.parent = &setting.frame;
  frame.token = token.get();
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  if (token->name.empty() || token->name == "off") return setting.fail(0, "expected a name");
  if (token->secrets.empty() && !frame.said.contains("jwks")) {
    setting.error("no \"secret\" and no \"jwks\" in token \"" + token->name + "\"");
  }
  token->verifier = make_verifier(*token);
  if (!setting.loader.config->http.tokens.emplace(token->name, token).second) {
    setting.error("duplicate token \"" + token->name + "\"");
  }
}

constexpr Directive kRows[] = {
    {.name = "token",
     .scopes = kHttp,
     .body = Body::Block,
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_token,
     .syntax = "name",
     .help = "Defines whose signed tokens (JWT, RFC 7519) are believed about who a client is: HS256, RS256 and ES256.  "
             "Expired tokens, and those that are not valid yet, are refused; clocks may differ by a minute for the "
             "latter."},
    {.name = "secret",
     .scopes = kToken,
     .repeatable = true,
     .set = set_secret,
     .syntax = "text",
     .secret = true,
     .help = "Signs tokens by HS256.  32 bytes or more.  Where two stand either will do, so that a secret can be "
             "replaced."},
    {.name = "jwks",
     .scopes = kToken,
     .set = set_jwks,
     .syntax = "file",
     .help = "A JWK set (RFC 7517) with keys for RS256, ES256 (P-256) or HS256; keys of other kinds are left out.  It "
             "is read with the configuration, so that new keys come with a reload."},
    {.name = "audience",
     .scopes = kToken,
     .set = store_word<&TokenRules::audience>,
     .syntax = "text",
     .fallback_help = "any",
     .help = "What a token's \"aud\" has to be, or to contain."},
    {.name = "issuer",
     .scopes = kToken,
     .set = store_word<&TokenRules::issuer>,
     .syntax = "text",
     .fallback_help = "any",
     .help = "What a token's \"iss\" has to be."},
    {.name = "user_claim",
     .scopes = kToken,
     .set = set_user_claim,
     .syntax = "name",
     .fallback = "sub",
     .help = "The claim that names the user, a text or a whole number."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> token_directives() {
  return kRows;
}

}  // namespace beamgate::config
