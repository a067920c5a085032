// Which server gets a request: weights are kept and spread, failed servers are left alone for a while and
// tried by one request only, backups wait, and a reload keeps what is known of a server.
#include "worker/upstream/group.h"

#include <gtest/gtest.h>

namespace beamgate::upstream {
namespace {

config::UpstreamServer server(const std::string& name, uint32_t weight = 1) {
  config::UpstreamServer made;
  made.address.text = name;
  made.weight = weight;
  return made;
}

std::shared_ptr<config::Upstream> upstream(std::vector<config::UpstreamServer> servers) {
  auto made = std::make_shared<config::Upstream>();
  made->name = "app";
  made->servers = std::move(servers);
  return made;
}

std::string name_of(const Peer* peer) { return peer == nullptr ? "-" : peer->server().address.text; }

std::string choices(Group& group, int count, int64_t now_ms = 1000) {
  std::string out;
  for (int i = 0; i < count; ++i) out += name_of(group.choose({}, now_ms));
  return out;
}

TEST(Group, WeightsAreSpreadEvenly) {
  Group group;
  group.follow(upstream({server("a", 5), server("b", 1), server("c", 1)}));
  EXPECT_EQ(choices(group, 7), "aabacaa");
  EXPECT_EQ(choices(group, 7), "aabacaa");
}

TEST(Group, DownAndTriedServersAreNotChosen) {
  auto down = server("a");
  down.down = true;
  Group group;
  group.follow(upstream({down, server("b"), server("c")}));
  EXPECT_EQ(choices(group, 4), "bcbc");
  const Peer* b = group.choose({}, 1000);
  const Peer* c = group.choose({b}, 1000);
  EXPECT_EQ(name_of(b) + name_of(c), "bc");
  EXPECT_EQ(group.choose({b, c}, 1000), nullptr);
}

TEST(Group, BackupsServeOnlyWhenNobodyElseCan) {
  auto backup = server("z");
  backup.backup = true;
  Group group;
  group.follow(upstream({server("a"), backup}));
  EXPECT_EQ(choices(group, 3), "aaa");
  group.choose({}, 1000)->failed(1000);
  EXPECT_EQ(choices(group, 3), "zzz");
}

TEST(Group, AFailedServerIsTriedByOneRequestAfterItsWindow) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* a = group.choose({}, 1000);
  ASSERT_EQ(name_of(a), "a");
  a->failed(1000);
  EXPECT_EQ(choices(group, 3, 1001), "bbb");
  const int64_t later = 1000 + Peer::kFailWindowMs;
  EXPECT_EQ(choices(group, 3, later - 1), "bbb");
  const std::string trial = choices(group, 4, later);
  EXPECT_EQ(std::count(trial.begin(), trial.end(), 'a'), 1) << trial;
  a->succeeded();
  const std::string healed = choices(group, 4, later);
  EXPECT_EQ(std::count(healed.begin(), healed.end(), 'a'), 2) << healed;
}

TEST(Group, WhenAllHaveFailedTheyAreTriedAllTheSame) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* first = group.choose({}, 1000);
  first->failed(1000);
  Peer* second = group.choose({}, 1000);
  ASSERT_NE(first, second);
  second->failed(1000);
  EXPECT_NE(group.choose({}, 1001), nullptr);
}

TEST(Group, AReloadKeepsWhatIsKnownOfAServer) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* a = group.choose({}, 1000);
  a->failed(1000);
  group.follow(upstream({server("c"), server("a")}));
  EXPECT_EQ(group.size(), 2u);
  EXPECT_EQ(choices(group, 2, 1001), "cc");
}

TEST(Group, AServerInUseOutlivesItsConfiguration) {
  Group group;
  group.follow(upstream({server("a")}));
  Peer* a = group.choose({}, 1000);
  ++a->in_use;
  group.follow(upstream({server("b")}));
  EXPECT_EQ(group.size(), 2u);
  EXPECT_EQ(choices(group, 2), "bb");
  --a->in_use;
  group.follow(upstream({server("b")}));
  EXPECT_EQ(group.size(), 1u);
}

}  // namespace
}  // namespace beamgate::upstream
