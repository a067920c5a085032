// Digests and encodings against published vectors: RFC 6455 section 1.3, RFC 4231, RFC 4648.
#include "common/crypto/crypto.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"

namespace beamgate::crypto {
namespace {

TEST(Crypto, WebSocketAcceptExampleOfRfc6455) {
  EXPECT_EQ(base64_encode(sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11")),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Crypto, HmacSha256OfRfc4231Case2) {
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Crypto, Base64RoundTripsAndRejects) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  }
  for (const char* bad : {"Zg", "Zg=", "Z===", "Zg==\n", "Z g=", "=Zg=", "Zm9v!A=="}) {
    EXPECT_FALSE(base64_decode(bad).has_value()) << bad;
  }
}

TEST(Crypto, Base64UrlRoundTripsAndRejects) {
  EXPECT_EQ(base64url_encode("\xfb\xff\xfe"), "-__-");
  for (const std::string text : {"", "f", "fo", "foo", "foob", "\xfb\xff"}) {
    EXPECT_EQ(base64url_decode(base64url_encode(text)), text);
  }
  // Padding, the other alphabet, a length that can't be, bits that stand for nothing.
  for (const char* bad : {"Zg==", "+//+", "Z", "Zh", "Zm9v\n", "Zg=="}) {
    EXPECT_FALSE(base64url_decode(bad).has_value()) << bad;
  }
}

TEST(Crypto, ConstantTimeEqualComparesContentAndLength) {
  EXPECT_TRUE(constant_time_equal("secret", "secret"));
  EXPECT_FALSE(constant_time_equal("secret", "secreT"));
  EXPECT_FALSE(constant_time_equal("secret", "secre"));
}

}  // namespace
}  // namespace beamgate::crypto
