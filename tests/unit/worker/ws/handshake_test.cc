// Opening handshakes: each requirement of RFC 6455 section 4.2.1 with a request that meets it and one that
// doesn't, Origin lists, and the choice of a subprotocol.
#include "worker/ws/handshake.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/ws/requests.h"

namespace beamgate::ws {
namespace {

using testing::UpgradeRequest;

uint16_t status_of(UpgradeRequest& request) {
  const auto refusal = refuse_handshake(request.get());
  return refusal ? refusal->status : 101;
}
uint16_t status_with(const std::string& name, const std::string& value) {
  UpgradeRequest request;
  request.set(name, value);
  return status_of(request);
}

TEST(Handshake, TheOrdinaryRequestPasses) {
  UpgradeRequest request;
  EXPECT_EQ(status_of(request), 101);
}

TEST(Handshake, MethodVersionAndBody) {
  UpgradeRequest post;
  post.request.method = "POST";
  EXPECT_EQ(status_of(post), 405);
  UpgradeRequest old;
  old.request.version_minor = 0;
  EXPECT_EQ(status_of(old), 400);
  UpgradeRequest body;
  body.request.content_length = 3;
  EXPECT_EQ(status_of(body), 400);
  body.request.content_length = 0;
  EXPECT_EQ(status_of(body), 101);
  body.request.chunked = true;
  EXPECT_EQ(status_of(body), 400);
}

TEST(Handshake, UpgradeAndConnectionAreTokenLists) {
  EXPECT_EQ(status_with("Upgrade", "WebSocket"), 101);
  EXPECT_EQ(status_with("Upgrade", "h2c, websocket"), 101);
  EXPECT_EQ(status_with("Upgrade", "websockets"), 426);
  EXPECT_EQ(status_with("Upgrade", ""), 426);
  EXPECT_EQ(status_with("Connection", "keep-alive, Upgrade"), 101);
  EXPECT_EQ(status_with("Connection", "keep-alive"), 400);
  EXPECT_EQ(status_with("Connection", ""), 400);
  UpgradeRequest split;
  split.set("Connection", "keep-alive").add("Connection", "upgrade");
  EXPECT_EQ(status_of(split), 101);
}

TEST(Handshake, Version) {
  EXPECT_EQ(status_with("Sec-WebSocket-Version", "8"), 426);
  EXPECT_EQ(status_with("Sec-WebSocket-Version", "14"), 426);
  EXPECT_EQ(status_with("Sec-WebSocket-Version", "013"), 426);
  EXPECT_EQ(status_with("Sec-WebSocket-Version", "13, 8"), 426);
  EXPECT_EQ(status_with("Sec-WebSocket-Version", ""), 426);
  UpgradeRequest twice;
  twice.add("Sec-WebSocket-Version", "13");
  EXPECT_EQ(status_of(twice), 400);
}

TEST(Handshake, KeyIsSixteenBytesInBase64Once) {
  EXPECT_EQ(status_with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), 101);
  EXPECT_EQ(status_with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA"), 400);      // 15 bytes.
  EXPECT_EQ(status_with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), 400);  // 17 bytes.
  EXPECT_EQ(status_with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA"), 400);    // No padding.
  EXPECT_EQ(status_with("Sec-WebSocket-Key", "AAAAAAAAAAA*AAAAAAAAAA=="), 400);
  EXPECT_EQ(status_with("Sec-WebSocket-Key", ""), 400);
  UpgradeRequest twice;
  twice.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_EQ(status_of(twice), 400);
}

TEST(Handshake, AcceptKeyOfTheRfc) {
  EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // Section 1.3.
}

bool allows(std::vector<std::string> origins, const std::string& origin) {
  config::WebSocketAction action;
  action.origins = std::move(origins);
  UpgradeRequest request;
  request.set("Origin", origin);
  return origin_allowed(request.get(), action);
}

TEST(Handshake, Origins) {
  EXPECT_TRUE(allows({}, "https://anywhere.example"));
  EXPECT_TRUE(allows({"https://a.example"}, ""));
  EXPECT_TRUE(allows({"https://a.example", "https://b.example"}, "https://b.example"));
  EXPECT_TRUE(allows({"https://a.example"}, "HTTPS://A.example"));
  EXPECT_FALSE(allows({"https://a.example"}, "http://a.example"));
  EXPECT_FALSE(allows({"https://a.example"}, "https://a.example:8443"));
  EXPECT_FALSE(allows({"https://a.example"}, "https://a.example.evil.example"));
  EXPECT_FALSE(allows({"https://a.example"}, "null"));
  UpgradeRequest twice;
  twice.add("Origin", "https://a.example").add("Origin", "https://b.example");
  EXPECT_EQ(status_of(twice), 400);
}

TEST(Handshake, OriginWildcards) {
  const std::vector<std::string> list = {"https://*.example.com"};
  EXPECT_TRUE(allows(list, "https://a.example.com"));
  EXPECT_TRUE(allows(list, "https://a.b.EXAMPLE.com"));
  EXPECT_FALSE(allows(list, "https://example.com"));
  EXPECT_FALSE(allows(list, "https://.example.com"));
  EXPECT_FALSE(allows(list, "https://evilexample.com"));
  EXPECT_FALSE(allows(list, "http://a.example.com"));
  EXPECT_FALSE(allows(list, "https://a.example.com:444"));
  EXPECT_TRUE(allows({"https://*.example.com:444"}, "https://a.example.com:444"));
}

std::string chosen(std::vector<std::string> known, const std::string& offered) {
  config::WebSocketAction action;
  action.subprotocols = std::move(known);
  UpgradeRequest request;
  request.set("Sec-WebSocket-Protocol", offered);
  return std::string(choose_subprotocol(request.get(), action));
}

TEST(Handshake, TheServersFirstOfferedSubprotocolWins) {
  EXPECT_EQ(chosen({"v2", "v1"}, "v1, v2"), "v2");
  EXPECT_EQ(chosen({"v2", "v1"}, "v1"), "v1");
  EXPECT_EQ(chosen({"v2"}, "V2"), "");
  EXPECT_EQ(chosen({"v2"}, "v22, v"), "");
  EXPECT_EQ(chosen({}, "v1"), "");
  EXPECT_EQ(chosen({"v1"}, ""), "");
}

TEST(Handshake, MalformedSubprotocolsAreRefused) {
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", "chat, superchat"), 101);
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", "chat, chat"), 400);
  for (const char* with_empty : {"chat,,x", ",chat", "chat, ,"}) {
    EXPECT_EQ(status_with("Sec-WebSocket-Protocol", with_empty), 101) << with_empty;
  }
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", ","), 400);
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", "chat" + std::string(17, ',')), 400);
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", "a b"), 400);
  EXPECT_EQ(status_with("Sec-WebSocket-Protocol", "a/b"), 400);
}

}  // namespace
}  // namespace beamgate::ws
