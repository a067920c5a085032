// Signatures: what an application computes to know that a call is ours, compared with a vector that the
// Standard Webhooks reference library confirms.
#include "worker/hook/signature.h"

#include <gtest/gtest.h>

#include "common/crypto/crypto.h"

namespace beamgate::hook {
namespace {

constexpr std::string_view kBody = R"({"type":"connection.closed","data":{"conn":"c1"}})";
constexpr std::string_view kExpected = "v1,U64HkrnJlrpeX0vIEabn+lVHFZB+o/k3UobMdIZBADQ=";

std::string key() { return *crypto::base64_decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="); }

TEST(Signature, IsWhatStandardWebhooksSays) { EXPECT_EQ(sign({key()}, "msg_bg0001", 1790000000, kBody), kExpected); }

TEST(Signature, DuringARotationBothSecretsSign) {
  const std::string both = sign({"new key", key()}, "msg_bg0001", 1790000000, kBody);
  EXPECT_TRUE(both.starts_with("v1,"));
  EXPECT_TRUE(both.ends_with(" " + std::string(kExpected)));
}

TEST(Signature, CoversIdTimeAndBody) {
  EXPECT_NE(sign({key()}, "msg_bg0002", 1790000000, kBody), kExpected);
  EXPECT_NE(sign({key()}, "msg_bg0001", 1790000001, kBody), kExpected);
  EXPECT_NE(sign({key()}, "msg_bg0001", 1790000000, "{}"), kExpected);
  EXPECT_EQ(sign({}, "msg_bg0001", 1790000000, kBody), "");
}

}  // namespace
}  // namespace beamgate::hook
