// Shows which texts are addresses, and that each gets the text by which others recognise it.
#include "common/config/network.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace beamgate::config {
namespace {

std::string listen_text(std::string_view text) {
  std::vector<Address> out;
  std::string error;
  if (!listen_addresses(text, Names::Refuse, out, error)) return "error: " + error;
  EXPECT_EQ(out.size(), 1u);
  return out[0].text;
}

std::string server_text(std::string_view text) {
  std::vector<Address> out;
  std::string error;
  if (!server_addresses(text, 80, Names::Refuse, out, error)) return "error: " + error;
  EXPECT_EQ(out.size(), 1u);
  return out[0].text;
}

TEST(Network, ListenAddresses) {
  EXPECT_EQ(listen_text("8080"), "0.0.0.0:8080");
  EXPECT_EQ(listen_text("0"), "0.0.0.0:0");
  EXPECT_EQ(listen_text("*:81"), "0.0.0.0:81");
  EXPECT_EQ(listen_text("127.0.0.1"), "127.0.0.1:80");
  EXPECT_EQ(listen_text("127.0.0.1:0"), "127.0.0.1:0");
  EXPECT_EQ(listen_text("[::]:8080"), "[::]:8080");
  EXPECT_EQ(listen_text("[0:0::1]"), "[::1]:80");
  EXPECT_EQ(listen_text("unix:/a/b"), "unix:/a/b");
  for (const char* bad : {"", ":80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]80",
                          "[::1]:", "[]:80", "::1", "99999", "a b:80", "unix:", "host"}) {
    EXPECT_THAT(listen_text(bad), ::testing::StartsWith("error: ")) << bad;
  }
}

TEST(Network, ServerAddresses) {
  EXPECT_EQ(server_text("10.0.0.1"), "10.0.0.1:80");
  EXPECT_EQ(server_text("10.0.0.1:9000"), "10.0.0.1:9000");
  EXPECT_EQ(server_text("[::1]:9000"), "[::1]:9000");
  EXPECT_EQ(server_text("unix:/x.sock"), "unix:/x.sock");
  for (const char* bad : {"", "*", "*:80", "8080x:1", "a/b", "10.0.0.1:x"}) {
    EXPECT_THAT(server_text(bad), ::testing::StartsWith("error: ")) << bad;
  }
}

TEST(Network, NamesAreResolved) {
  std::vector<Address> out;
  std::string error;
  ASSERT_TRUE(server_addresses("localhost:77", 80, Names::Resolve, out, error)) << error;
  for (const Address& address : out)
    EXPECT_TRUE(address.text == "127.0.0.1:77" || address.text == "[::1]:77");
}

TEST(Network, SocketAddressesAreComplete) {
  Address address;
  std::string error;
  ASSERT_TRUE(numeric_address("::1", 8080, address));
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  EXPECT_EQ(address.length, sizeof in6);
  EXPECT_EQ(in6.sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(in6.sin6_port), 8080);
  ASSERT_TRUE(unix_address("/tmp/x", address, error));
  EXPECT_STREQ(reinterpret_cast<const sockaddr_un&>(address.storage).sun_path, "/tmp/x");
  EXPECT_TRUE(unix_address(std::string(107, 'x'), address, error));
  EXPECT_FALSE(unix_address(std::string(108, 'x'), address, error));
}

TEST(Network, AccessRules) {
  AccessRule rule;
  bool low_bits = true;
  ASSERT_TRUE(parse_access_rule("10.1.2.3/8", rule, low_bits));
  EXPECT_TRUE(low_bits);
  EXPECT_EQ(rule.family, AF_INET);
  EXPECT_EQ(rule.prefix_bits, 8u);
  EXPECT_EQ(rule.address[0], 10);
  EXPECT_EQ(rule.address[1], 0);
  AccessRule host;
  ASSERT_TRUE(parse_access_rule("::1", host, low_bits));
  EXPECT_FALSE(low_bits);
  EXPECT_EQ(host.family, AF_INET6);
  EXPECT_EQ(host.prefix_bits, 128u);
  AccessRule none;
  ASSERT_TRUE(parse_access_rule("0.0.0.0/0", none, low_bits));
  EXPECT_EQ(none.prefix_bits, 0u);
  AccessRule local;
  ASSERT_TRUE(parse_access_rule("unix:", local, low_bits));
  EXPECT_EQ(local.family, AF_UNIX);
}

}  // namespace
}  // namespace beamgate::config
