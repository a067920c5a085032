// What may be passed to one more server: by reason, by method, by count and by time; and that nothing is that
// could have had an effect already.
#include "worker/upstream/attempts.h"

#include <gtest/gtest.h>

namespace beamgate::upstream {
namespace {

using namespace config;

TEST(Attempts, OnlyForAReasonThatIsListed) {
  ProxyAction proxy;
  const Attempts attempts(proxy, true, 1'000);
  EXPECT_TRUE(attempts.may_go_on(kNextError, true, 1'000));
  EXPECT_TRUE(attempts.may_go_on(kNextTimeout, true, 1'000));
  EXPECT_FALSE(attempts.may_go_on(kNextInvalidHeader, true, 1'000));
  EXPECT_FALSE(attempts.may_go_on(kNext503, true, 1'000));
  proxy.next_upstream = kNext503;
  EXPECT_TRUE(attempts.may_go_on(kNext503, true, 1'000));
  EXPECT_FALSE(attempts.may_go_on(kNextError, true, 1'000));
  proxy.next_upstream = 0;
  EXPECT_FALSE(attempts.may_go_on(kNextError, false, 1'000));
  EXPECT_FALSE(attempts.may_repeat(false));
}

TEST(Attempts, WhatMayHaveHadAnEffectIsNotRepeated) {
  ProxyAction proxy;
  const Attempts attempts(proxy, false, 1'000);
  EXPECT_TRUE(attempts.may_go_on(kNextError, false, 1'000));
  EXPECT_TRUE(attempts.may_repeat(false));
  EXPECT_FALSE(attempts.may_go_on(kNextError, true, 1'000));
  EXPECT_FALSE(attempts.may_repeat(true));
  proxy.next_upstream |= kNextNonIdempotent;
  EXPECT_TRUE(attempts.may_go_on(kNextError, true, 1'000));
  EXPECT_TRUE(attempts.may_repeat(true));
  for (const std::string_view method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}) EXPECT_TRUE(is_idempotent(method));
  for (const std::string_view method : {"POST", "PATCH", "LOCK", "get", ""}) EXPECT_FALSE(is_idempotent(method));
}

TEST(Attempts, TriesAndTimeAreCounted) {
  ProxyAction proxy;
  proxy.next_upstream_tries = 2;
  Attempts attempts(proxy, true, 1'000);
  attempts.begin();
  EXPECT_TRUE(attempts.may_go_on(kNextError, true, 1'000));
  attempts.begin();
  EXPECT_FALSE(attempts.may_go_on(kNextError, true, 1'000));
  proxy.next_upstream_tries = 0;
  proxy.next_upstream_timeout_ms = 500;
  EXPECT_TRUE(attempts.may_go_on(kNextError, true, 1'499));
  EXPECT_FALSE(attempts.may_go_on(kNextError, true, 1'500));
}

TEST(Attempts, Statuses) {
  EXPECT_EQ(next_upstream_bit(502), uint32_t{kNext502});
  EXPECT_EQ(next_upstream_bit(429), uint32_t{kNext429});
  EXPECT_EQ(next_upstream_bit(200), 0u);
  EXPECT_EQ(next_upstream_bit(501), 0u);
  EXPECT_TRUE(is_server_failure(500));
  EXPECT_FALSE(is_server_failure(404));
}

}  // namespace
}  // namespace beamgate::upstream
