// Signed tokens against the examples of RFC 7515 appendix A, and what must never pass for one.
#include "common/crypto/jwt.h"

#include <gtest/gtest.h>

#include "common/crypto/crypto.h"

namespace beamgate::crypto {
namespace {

// Claims of all three examples: {"iss":"joe","exp":1300819380,"http://example.com/is_root":true}
const std::string kPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr int64_t kExpires = 1300819380;
constexpr int64_t kNow = kExpires - 1;

// A.1
const std::string kHmacToken =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + kPayload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const std::string kHmacKey =
    R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";

// A.2
const std::string kRsaToken =
    "eyJhbGciOiJSUzI1NiJ9." + kPayload +
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1d"
    "nZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwus"
    "C-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const std::string kRsaKey =
    R"({"kty":"RSA","kid":"r","e":"AQAB","n":")"
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNM"
    "sD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmt"
    "dVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}";

// A.3
const std::string kEcToken = "eyJhbGciOiJFUzI1NiJ9." + kPayload +
                             ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const std::string kEcKey =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"e"})";

constexpr std::string_view kSecret = "a secret that is long enough, really";

SigningKeys set_of(const std::string& keys) {
  SigningKeys out;
  std::string error;
  EXPECT_TRUE(out.add_set("{\"keys\":[" + keys + "]}", error)) << error;
  return out;
}

std::string problem_of(const std::string& text) {
  SigningKeys out;
  std::string error;
  return out.add_set(text, error) ? "none" : error;
}

JwtVerifier by_secret(std::string audience = {}, std::string issuer = {}) {
  SigningKeys keys;
  keys.add_secret(std::string(kSecret));
  return {std::move(keys), std::move(audience), std::move(issuer)};
}

std::string token_of(std::string_view claims, std::string_view header = R"({"alg":"HS256"})") {
  const std::string signed_part = base64url_encode(header) + "." + base64url_encode(claims);
  return signed_part + "." + base64url_encode(hmac_sha256(kSecret, signed_part));
}

JwtStatus status_of(std::string_view token) { return by_secret().verify(token, kNow).status; }

TEST(Jwt, ExamplesOfRfc7515) {
  const JwtVerifier verifier(set_of(kHmacKey + "," + kRsaKey + "," + kEcKey), "", "joe");
  for (const std::string& token : {kHmacToken, kRsaToken, kEcToken}) {
    const Jwt found = verifier.verify(token, kNow);
    EXPECT_EQ(found.status, JwtStatus::Valid) << token;
    EXPECT_EQ(found.expires_s, kExpires);
    EXPECT_EQ(found.claims.get_string("iss"), "joe");
    EXPECT_EQ(verifier.verify(token, kExpires).status, JwtStatus::Expired);

    std::string changed = token;
    changed[30] = changed[30] == 'A' ? 'B' : 'A';
    EXPECT_NE(verifier.verify(changed, kNow).status, JwtStatus::Valid);
    changed = token;
    changed[token.size() - 10] = changed[token.size() - 10] == 'A' ? 'B' : 'A';
    EXPECT_EQ(verifier.verify(changed, kNow).status, JwtStatus::NotSigned);
  }
}

TEST(Jwt, AlgorithmIsTheKeys) {
  // "none", with and without a signature, and names in another case.
  for (const char* header : {R"({"alg":"none"})", R"({"alg":"hs256"})", R"({"alg":"HS512"})", R"({"alg":7})", "{}"}) {
    EXPECT_EQ(status_of(token_of("{}", header)), JwtStatus::NotSigned) << header;
  }
  EXPECT_EQ(status_of(base64url_encode(R"({"alg":"none"})") + "." + base64url_encode("{}") + "."),
            JwtStatus::NotSigned);

  // A public key's bytes taken for a secret.
  const JwtVerifier public_only(set_of(kRsaKey + "," + kEcKey), "", "");
  const std::string head = base64url_encode(R"({"alg":"HS256"})") + "." + kPayload;
  for (const std::string& key : {kRsaKey, kEcKey, std::string()}) {
    EXPECT_EQ(public_only.verify(head + "." + base64url_encode(hmac_sha256(key, head)), kNow).status,
              JwtStatus::NotSigned);
  }
  // A signature of one kind under the name of another.
  EXPECT_EQ(public_only.verify("eyJhbGciOiJFUzI1NiJ9" + kRsaToken.substr(kRsaToken.find('.')), kNow).status,
            JwtStatus::NotSigned);
}

TEST(Jwt, KeyIds) {
  SigningKeys keys = set_of(R"({"kty":"oct","kid":"one","k":"MDEyMzQ1Njc4OWFiY2RlZg"})");
  keys.add_secret(std::string(kSecret));  // Has no id, so that it is tried with any.
  const JwtVerifier verifier(std::move(keys), "", "");
  EXPECT_TRUE(verifier.verify(token_of("{}", R"({"alg":"HS256","kid":"one"})"), kNow).valid());
  EXPECT_EQ(verifier.verify(token_of("{}", R"({"alg":"HS256","kid":1})"), kNow).status, JwtStatus::Malformed);

  const JwtVerifier named(set_of(kEcKey), "", "");
  EXPECT_TRUE(named.verify(kEcToken, kNow).valid());  // Names none: every key is tried.
}

TEST(Jwt, Malformed) {
  for (const char* token : {"", ".", "..", "a.b", "a.b.c", "e30.e30", "e30=.e30.AA", "W10.e30.AA", "e30.e30.A.A"}) {
    EXPECT_FALSE(by_secret().verify(token, kNow).valid()) << token;
  }
  EXPECT_EQ(status_of(token_of("[]")), JwtStatus::Malformed);
  EXPECT_EQ(status_of(token_of("{\"a\":}")), JwtStatus::Malformed);
  EXPECT_EQ(status_of(token_of("{}", R"({"alg":"HS256","crit":["b64"],"b64":false})")), JwtStatus::Malformed);
  EXPECT_EQ(status_of(token_of("{\"a\":\"" + std::string(20'000, 'x') + "\"}")), JwtStatus::Malformed);
  EXPECT_TRUE(by_secret().verify(token_of("{\"a\":\"" + std::string(10'000, 'x') + "\"}"), kNow).valid());
}

TEST(Jwt, Times) {
  const auto with = [](const std::string& claims) { return status_of(token_of(claims)); };
  const std::string now = std::to_string(kNow);
  EXPECT_EQ(with("{}"), JwtStatus::Valid);
  EXPECT_EQ(with("{\"exp\":" + now + "}"), JwtStatus::Expired);
  EXPECT_EQ(with("{\"exp\":" + now + ".5}"), JwtStatus::Expired);
  EXPECT_EQ(with("{\"exp\":" + std::to_string(kNow + 1) + "}"), JwtStatus::Valid);
  EXPECT_EQ(with("{\"nbf\":" + std::to_string(kNow + 60) + "}"), JwtStatus::Valid);
  EXPECT_EQ(with("{\"nbf\":" + std::to_string(kNow + 61) + "}"), JwtStatus::NotYet);
  for (const char* date : {"\"1\"", "true", "null", "1e300", "[]"}) {
    EXPECT_EQ(with("{\"exp\":" + std::string(date) + "}"), JwtStatus::Malformed) << date;
    EXPECT_EQ(with("{\"nbf\":" + std::string(date) + "}"), JwtStatus::Malformed) << date;
  }
}

TEST(Jwt, AudienceAndIssuer) {
  const JwtVerifier verifier = by_secret("us", "them");
  const auto with = [&](std::string_view claims) { return verifier.verify(token_of(claims), kNow).status; };
  EXPECT_EQ(with(R"({"iss":"them","aud":"us"})"), JwtStatus::Valid);
  EXPECT_EQ(with(R"({"iss":"them","aud":["others","us"]})"), JwtStatus::Valid);
  for (const char* claims : {R"({"iss":"them"})", R"({"iss":"them","aud":"u"})", R"({"iss":"them","aud":["u",1]})"}) {
    EXPECT_EQ(with(claims), JwtStatus::WrongAudience) << claims;
  }
  for (const char* claims : {R"({"aud":"us"})", R"({"aud":"us","iss":"us"})", R"({"aud":"us","iss":["them"]})"}) {
    EXPECT_EQ(with(claims), JwtStatus::WrongIssuer) << claims;
  }
}

TEST(Jwt, ClaimTexts) {
  const json::Value claims = json::parse(R"({"a":"x","b":42,"c":-1,"d":1.5,"e":null,"f":18446744073709551615})").value();
  EXPECT_EQ(claim_text(claims, "a"), "x");
  EXPECT_EQ(claim_text(claims, "b"), "42");
  EXPECT_EQ(claim_text(claims, "c"), "-1");
  EXPECT_EQ(claim_text(claims, "f"), "18446744073709551615");
  for (const char* none : {"d", "e", "missing"}) EXPECT_EQ(claim_text(claims, none), "") << none;
}

TEST(SigningKeys, KeysForOtherThingsAreLeftOut) {
  const std::string k = R"("kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZg")";
  for (const char* purpose : {R"("use":"enc")", R"("alg":"HS512")", R"("key_ops":["sign"])", R"("key_ops":1)"}) {
    EXPECT_EQ(problem_of("{\"keys\":[{" + k + "," + purpose + "}]}"), "it has no key for HS256, RS256 or ES256")
        << purpose;
  }
  for (const char* purpose : {R"("use":"sig")", R"("alg":"HS256")", R"("key_ops":["sign","verify"])"}) {
    EXPECT_EQ(problem_of("{\"keys\":[{" + k + "," + purpose + "}]}"), "none") << purpose;
  }
  // Kinds that are not known, beside one that is.
  EXPECT_EQ(problem_of("{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"EC\",\"crv\":\"P-521\"},{" + k + "}]}"), "none");
}

TEST(SigningKeys, ASetWithAKeyThatCanNotBeUsedAddsNothing) {
  SigningKeys keys;
  std::string error;
  EXPECT_FALSE(keys.add_set(R"({"keys":[{"kty":"oct","k":"AyMSaPc9"},{"kty":"oct","kid":"bad","k":""}]})", error));
  EXPECT_EQ(error, "its key \"bad\" can't be used");
  EXPECT_TRUE(keys.empty());
  keys.add_secret("a secret");
  EXPECT_FALSE(keys.add_set("{}", error));
  EXPECT_FALSE(keys.empty());
}

TEST(SigningKeys, SetsThatAreNone) {
  EXPECT_EQ(problem_of("[]"), "it has no array \"keys\"");
  EXPECT_EQ(problem_of("{\"keys\":[]}"), "it has no key for HS256, RS256 or ES256");
  EXPECT_NE(problem_of("{"), "none");
  for (const char* key : {
           R"({"kty":"oct","kid":"k"})",
           R"({"kty":"oct","kid":"k","k":"="})",
           R"({"kty":"RSA","kid":"k","e":"AQAB","n":"AQAB"})",  // Far too short.
           R"({"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"})",  // Not on the curve.
       }) {
    EXPECT_EQ(problem_of("{\"keys\":[" + std::string(key) + "]}"), "its key \"k\" can't be used") << key;
  }
  std::string many;
  for (size_t i = 0; i <= SigningKeys::kKeysMax; ++i) many += (i ? "," : "") + kHmacKey;
  EXPECT_EQ(problem_of("{\"keys\":[" + many + "]}"), "more than 64 keys");
}

}  // namespace
}  // namespace beamgate::crypto
