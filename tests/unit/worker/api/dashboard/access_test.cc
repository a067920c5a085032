// Whom a dashboard believes: what counts as this machine and as its own page, each beside what does not.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "worker/api/dashboard/access.h"

namespace beamgate::api::dashboard {
namespace {

struct Asker {
  http::Request request;
  record::Record record{};

  explicit Asker(std::vector<http::Field> fields = {}) {
    request.host = "localhost";
    request.remote_address = "127.0.0.1";
    request.fields = std::move(fields);
    from({127, 0, 0, 1});
  }
  void from(std::initializer_list<uint8_t> address, uint8_t family = AF_INET) {
    memset(record.peer_address, 0, sizeof record.peer_address);
    std::copy(address.begin(), address.end(), record.peer_address);
    record.peer_family = family;
  }
  bool is_local() const { return why_not_local(request, record) == nullptr; }
};

Asker asker_with(std::vector<http::Field> fields) { return Asker(std::move(fields)); }

TEST(DashboardAccess, Loopback) {
  Asker asker;
  EXPECT_TRUE(asker.is_local());
  asker.from({127, 9, 9, 9});
  EXPECT_TRUE(asker.is_local());
  asker.from({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, AF_INET6);
  asker.request.remote_address = "::1";
  EXPECT_TRUE(asker.is_local());
  asker.from({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}, AF_INET6);
  asker.request.remote_address = "127.0.0.1";
  EXPECT_TRUE(asker.is_local());
}

TEST(DashboardAccess, NotLoopback) {
  Asker asker;
  asker.from({192, 0, 2, 1});
  EXPECT_FALSE(asker.is_local()) << "whatever the address that is made of it";
  asker.from({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, AF_INET6);
  EXPECT_FALSE(asker.is_local());
  asker.from({}, AF_INET6);
  EXPECT_FALSE(asker.is_local());
  asker.from({}, AF_UNIX);
  EXPECT_FALSE(asker.is_local()) << "a unix socket is where proxies are";
}

TEST(DashboardAccess, NotForWhomAProxySpeaks) {
  for (const char* name : {"Via", "forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Real-Ip", "True-Client-IP"}) {
    EXPECT_FALSE(asker_with({{name, "127.0.0.1"}}).is_local()) << name;
  }
  EXPECT_TRUE(asker_with({{"X-Forwarded", "no field of a proxy"}, {"Accept", "*/*"}}).is_local());
  Asker named;
  named.request.remote_address = "203.0.113.9";
  EXPECT_FALSE(named.is_local());
  Asker announced;
  announced.request.announced.present = 1;
  EXPECT_FALSE(announced.is_local());
}

TEST(DashboardAccess, NotByANameThatOthersMayHave) {
  Asker asker;
  for (const char* host : {"127.0.0.1", "[::1]", "127.8.8.8", "localhost"}) {
    asker.request.host = host;
    EXPECT_TRUE(asker.is_local()) << host;
  }
  for (const char* host : {"", "evil.example", "localhost.evil.example", "192.0.2.1", "127.0.0.1.evil.example", "0.0.0.0"}) {
    asker.request.host = host;
    EXPECT_FALSE(asker.is_local()) << host;
  }
}

TEST(DashboardAccess, SameOrigin) {
  const auto same = [](std::vector<http::Field> fields) {
    fields.push_back({"Host", "gate.example:8443"});
    return same_origin(Asker(std::move(fields)).request);
  };
  EXPECT_TRUE(same({})) << "no browser";
  EXPECT_TRUE(same({{"Origin", "https://gate.example:8443"}}));
  EXPECT_TRUE(same({{"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://outside.example"}})) << "behind a proxy with another name";
  EXPECT_FALSE(same({{"Origin", "https://gate.example"}}));
  EXPECT_FALSE(same({{"Origin", "https://evil.example"}}));
  EXPECT_FALSE(same({{"Origin", "null"}}));
  EXPECT_FALSE(same({{"Origin", ""}}));
  for (const char* site : {"cross-site", "same-site", "none", ""}) EXPECT_FALSE(same({{"Sec-Fetch-Site", site}})) << site;
}

TEST(DashboardAccess, OwnScript) {
  EXPECT_TRUE(from_own_script(asker_with({{"x-beamgate-dashboard", "1"}}).request));
  EXPECT_FALSE(from_own_script(Asker().request));
  EXPECT_FALSE(from_own_script(asker_with({{"X-BeamGate-Dashboard", "1"}, {"Sec-Fetch-Site", "same-site"}}).request));
}

}  // namespace
}  // namespace beamgate::api::dashboard
