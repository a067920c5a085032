// What Pusher's parties sign, by vectors that were computed with other programs.
#include "worker/proto/pusher/signature.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::pusher {
namespace {

constexpr std::string_view kSocket = "7001.42";
constexpr std::string_view kPresence = R"({"user_id":"u-7","user_info":{"nick":"Ada"}})";

config::App app() {
  config::App out;
  out.key = "bgkey01";
  out.secret = "bg-secret-01";
  return out;
}

std::string auth(std::string_view hex) { return "bgkey01:" + std::string(hex); }

TEST(PusherSignature, PrivateChannel) {
  const std::string good = auth("b94e9b985e03a9b3cfe64164b001d7cd3d5c25c8b36b2e7156c37ca5b74f0f78");
  EXPECT_TRUE(verify_channel(app(), kSocket, "private-orders.9", {}, good));
  EXPECT_FALSE(verify_channel(app(), "7001.43", "private-orders.9", {}, good));
  EXPECT_FALSE(verify_channel(app(), kSocket, "private-orders.8", {}, good));
  EXPECT_FALSE(verify_channel(app(), kSocket, "private-orders.9", "{}", good));
  EXPECT_FALSE(verify_channel(app(), kSocket, "private-orders.9", {}, {}));
}

TEST(PusherSignature, TheKeyCountsToo) {
  const std::string other = "bgkey02:b94e9b985e03a9b3cfe64164b001d7cd3d5c25c8b36b2e7156c37ca5b74f0f78";
  EXPECT_FALSE(verify_channel(app(), kSocket, "private-orders.9", {}, other));
}

TEST(PusherSignature, PresenceChannelWithItsData) {
  const std::string good = auth("b2fe784e7644aebbc1f7078a7a8cedc9cc66eca55d4c904a1fdb7cab1a9972ee");
  EXPECT_TRUE(verify_channel(app(), kSocket, "presence-lobby", kPresence, good));
  EXPECT_FALSE(verify_channel(app(), kSocket, "presence-lobby", R"({"user_id":"u-8"})", good));
}

TEST(PusherSignature, SignIn) {
  const std::string good = auth("edde2f6c9ccd1e39ec0c1348dbe798b2266cf172bcc8ac77bfe917940559e604");
  EXPECT_TRUE(verify_user(app(), kSocket, R"({"id":"u-7"})", good));
  EXPECT_FALSE(verify_user(app(), kSocket, R"({"id":"u-8"})", good));
}

TEST(PusherSignature, WebhookBody) {
  EXPECT_EQ(sign("bg-secret-01",
                 R"({"time_ms":1790000000123,"events":[{"name":"channel_occupied","channel":"private-orders.9"}]})"),
            "6f8f408f99dbae10d26f9a215168ea4ea1834152b50482a46d4ecf5b0848c912");
}

// The gateway never makes this key; that its peers' rule is understood is what the vector shows.
TEST(PusherSignature, SharedSecretOfAnEncryptedChannel) {
  std::string master;
  for (char byte = 0; byte < 32; ++byte) master += byte;
  EXPECT_EQ(crypto::base64_encode(crypto::sha256("private-encrypted-x" + master)),
            "6WW+JhQkrDHUfm5BytoU8ryaUq0zo82MTvUPheddo/Y=");
}

}  // namespace
}  // namespace beamgate::pusher
