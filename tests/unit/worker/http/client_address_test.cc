// Who a client is: prefixes match to the bit, and a header is believed only as far as trusted peers wrote it.
#include "worker/http/client_address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

ClientAddress parsed(std::string_view text) {
  ClientAddress out;
  EXPECT_TRUE(ClientAddress::parse(text, out)) << text;
  return out;
}

TEST(ClientAddress, AddressesWithAndWithoutPorts) {
  EXPECT_EQ(parsed("1.2.3.4").text(), "1.2.3.4");
  EXPECT_EQ(parsed(" 1.2.3.4:80 ").text(), "1.2.3.4");
  EXPECT_EQ(parsed("[2001:DB8::1]:443").text(), "2001:db8::1");
  EXPECT_EQ(parsed("2001:db8::1").text(), "2001:db8::1");
  EXPECT_EQ(parsed("::ffff:1.2.3.4").text(), "1.2.3.4") << "and is matched as such";
  ClientAddress out;
  for (const char* bad :
       {"", "unknown", "1.2.3", "1.2.3.4.5", "1.2.3.4, 5.6.7.8", "[::1", "_secret", "1.2.3.256"}) {
    EXPECT_FALSE(ClientAddress::parse(bad, out)) << bad;
  }
}

TEST(ClientAddress, RulesMatchToTheBitAndInOrder) {
  const auto config = config_of(
      "server { listen 127.0.0.1:1; location / { return 200; deny 10.0.0.1; allow 10.0.0.0/30; allow "
      "192.168.128.0/17;"
      " allow 2001:db8::/33; deny all; } }");
  const auto& rules = config->http.servers[0].locations[0].access;
  for (const char* good : {"10.0.0.0", "10.0.0.3", "192.168.128.0", "192.168.255.255", "2001:db8:7fff::1"}) {
    EXPECT_TRUE(access_allowed(rules, parsed(good))) << good;
  }
  for (const char* bad : {"10.0.0.1", "10.0.0.4", "192.168.127.255", "2001:db8:8000::1", "::1"}) {
    EXPECT_FALSE(access_allowed(rules, parsed(bad))) << bad;
  }
  EXPECT_TRUE(access_allowed({}, parsed("1.2.3.4")));
}

}  // namespace
}  // namespace beamgate::http
