// Who a client is behind proxies, and how the chain goes on: only what a trusted peer wrote is believed, and nothing that
// a client wrote further left can reach into it.
#include "worker/http/forwarded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/http/layer_fixture.h"
#include "worker/http/client_address.h"

namespace beamgate::http {
namespace {

using ::testing::ElementsAre;

ClientAddress address(std::string_view text) {
  ClientAddress out;
  EXPECT_TRUE(ClientAddress::parse(text, out)) << text;
  return out;
}

// What real_client() finds for a field of real_ip_header, and a peer that is trusted as the configuration says.
std::string real(const std::string& settings, const char* field, std::string_view value, std::string_view peer) {
  const auto config = config_of("set_real_ip_from 10.0.0.0/8; " + settings + " server { listen 127.0.0.1:1; }");
  const config::RealIp& real_ip = config->http.servers[0].fallback.real_ip;
  Request request;
  request.fields.push_back({field, value});
  return real_client(request, real_ip, address(peer)).text();
}

TEST(RealClient, TheLastAddressIsTheClient) {
  const auto found = [](std::string_view list) {
    return real("real_ip_header X-Forwarded-For;", "X-Forwarded-For", list, "10.0.0.1");
  };
  EXPECT_EQ(found("1.1.1.1"), "1.1.1.1");
  EXPECT_EQ(found("1.1.1.1, 2.2.2.2"), "2.2.2.2");
  EXPECT_EQ(found("1.1.1.1, 10.0.0.2"), "10.0.0.2") << "not recursive";
  EXPECT_EQ(found("1.1.1.1, [2001:db8::1]:80"), "2001:db8::1");
  EXPECT_EQ(found("1.1.1.1, "), "10.0.0.1");
  EXPECT_EQ(found("1.1.1.1, unknown"), "10.0.0.1");
  EXPECT_EQ(found(""), "10.0.0.1");
}

TEST(RealClient, RecursivelyItIsTheLastThatIsNotTrusted) {
  const auto found = [](std::string_view list) {
    return real("real_ip_header X-Forwarded-For; real_ip_recursive on;", "X-Forwarded-For", list, "10.0.0.1");
  };
  EXPECT_EQ(found("1.1.1.1, 2.2.2.2"), "2.2.2.2");
  EXPECT_EQ(found("1.1.1.1, 2.2.2.2, 10.0.0.2"), "2.2.2.2");
  EXPECT_EQ(found("10.0.0.3, 10.0.0.2"), "10.0.0.3") << "all trusted: the first";
  EXPECT_EQ(found("1.1.1.1, garbage"), "10.0.0.1");
  EXPECT_EQ(found("1.1.1.1, garbage, 10.0.0.2"), "10.0.0.2");
}

TEST(RealClient, Forwarded) {
  const auto found = [](std::string_view list) {
    return real("real_ip_header Forwarded; real_ip_recursive on;", "Forwarded", list, "10.0.0.1");
  };
  EXPECT_EQ(found("for=1.1.1.1"), "1.1.1.1");
  EXPECT_EQ(found("For=1.1.1.1;proto=http, proto=https; for=\"2.2.2.2:8080\";by=x"), "2.2.2.2");
  EXPECT_EQ(found("for=\"[2001:db8::1]:80\", for=10.0.0.2"), "2001:db8::1");
  EXPECT_EQ(found("for=_hidden"), "10.0.0.1");
  EXPECT_EQ(found("for=1.1.1.1, proto=http"), "10.0.0.1") << "the nearest proxy names nobody";
  // A quote that a client has opened can't swallow what its proxy adds.
  EXPECT_EQ(found("for=\"6.6.6.6, for=2.2.2.2"), "2.2.2.2");
  EXPECT_EQ(found("for=\"6.6.6.6, for=7.7.7.7\", for=2.2.2.2"), "2.2.2.2");
  EXPECT_EQ(found("for=2.2.2.2 proto=http"), "10.0.0.1");
  EXPECT_EQ(found("for = 2.2.2.2"), "10.0.0.1");
  EXPECT_EQ(found("for=\"2.2.2.2"), "10.0.0.1");
}

TEST(Forwarded, Nodes) {
  EXPECT_THAT(forwarded_nodes("for=a"), ElementsAre("a"));
  EXPECT_THAT(forwarded_nodes("for=\"\\a\\\"\";by=b , proto=c, ;;"), ElementsAre("a\"", "", ""));
  EXPECT_THAT(forwarded_nodes("for=a b"), ElementsAre(""));
}

struct Chain {
  Request request;
  record::Record record;

  Chain() {
    request.fields = {{"Host", "x:80"}, {"X-Forwarded-For", "1.1.1.1"}, {"Forwarded", "for=1.1.1.1"}};
    request.remote_address = "9.9.9.9";
    record.peer_family = AF_INET;
    for (uint8_t& byte : record.peer_address) byte = 9;
  }
};

TEST(Forwarded, AStrangersClaimsAreReplaced) {
  Chain chain;
  EXPECT_EQ(forwarded_for(chain.request, chain.record), "9.9.9.9");
  EXPECT_EQ(forwarded(chain.request, chain.record, "http"), "for=9.9.9.9;proto=http;host=\"x:80\"");
}

TEST(Forwarded, ATrustedPeersAreContinued) {
  Chain chain;
  chain.request.trusted_peer = true;
  EXPECT_EQ(forwarded_for(chain.request, chain.record), "1.1.1.1, 9.9.9.9");
  EXPECT_EQ(forwarded(chain.request, chain.record, "http"), "for=1.1.1.1, for=9.9.9.9;proto=http;host=\"x:80\"");
  chain.request.fields = {{"Host", "x"}};
  chain.request.remote_address = "2001:db8::1";  // From another field.
  EXPECT_EQ(forwarded_for(chain.request, chain.record), "2001:db8::1, 9.9.9.9");
  EXPECT_EQ(forwarded(chain.request, chain.record, "http"), "for=\"[2001:db8::1]\";proto=http;host=x");
}

}  // namespace
}  // namespace beamgate::http
