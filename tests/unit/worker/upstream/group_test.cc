// Which server gets a request: weights are kept and spread, failed servers are left alone for a while and
// tried by one request only, backups wait, and a reload keeps what is known of a server.
#include "worker/upstream/group.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace beamgate::upstream {
namespace {

config::UpstreamServer server(const std::string& name, uint32_t weight = 1) {
  config::UpstreamServer made;
  made.address.text = name;
  made.address.length = 1;
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

Peer* choose(Group& group, const std::vector<const Peer*>& tried = {}, int64_t now_ms = 1000, uint32_t key = 0) {
  return group.choose({tried, now_ms, key});
}

std::string choices(Group& group, int count, int64_t now_ms = 1000) {
  std::string out;
  for (int i = 0; i < count; ++i) out += name_of(choose(group, {}, now_ms));
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
  const Peer* b = choose(group);
  const Peer* c = choose(group, {b});
  EXPECT_EQ(name_of(b) + name_of(c), "bc");
  EXPECT_EQ(choose(group, {b, c}), nullptr);
}

TEST(Group, BackupsServeOnlyWhenNobodyElseCan) {
  auto backup = server("z");
  backup.backup = true;
  Group group;
  group.follow(upstream({server("a"), backup}));
  EXPECT_EQ(choices(group, 3), "aaa");
  choose(group)->failed(1000);
  EXPECT_EQ(choices(group, 3), "zzz");
}

TEST(Group, AFailedServerIsTriedByOneRequestAfterItsWindow) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* a = choose(group);
  ASSERT_EQ(name_of(a), "a");
  a->failed(1000);
  EXPECT_EQ(choices(group, 3, 1001), "bbb");
  const int64_t later = 1000 + server("").fail_timeout_ms;
  EXPECT_EQ(choices(group, 3, later - 1), "bbb");
  const std::string trial = choices(group, 4, later);
  EXPECT_EQ(std::count(trial.begin(), trial.end(), 'a'), 1) << trial;
  a->succeeded(later);
  const std::string healed = choices(group, 4, later);
  EXPECT_EQ(std::count(healed.begin(), healed.end(), 'a'), 2) << healed;
}

TEST(Group, WhenAllHaveFailedTheyAreTriedAllTheSame) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* first = choose(group);
  first->failed(1000);
  Peer* second = choose(group);
  ASSERT_NE(first, second);
  second->failed(1000);
  EXPECT_NE(choose(group, {}, 1001), nullptr);
}

TEST(Group, AReloadKeepsWhatIsKnownOfAServer) {
  Group group;
  group.follow(upstream({server("a"), server("b")}));
  Peer* a = choose(group);
  a->failed(1000);
  group.follow(upstream({server("c"), server("a")}));
  EXPECT_EQ(group.size(), 2u);
  EXPECT_EQ(choices(group, 2, 1001), "cc");
}

TEST(Group, AServerInUseOutlivesItsConfiguration) {
  Group group;
  group.follow(upstream({server("a")}));
  Peer* a = choose(group);
  ++a->in_use;
  group.follow(upstream({server("b")}));
  EXPECT_EQ(group.size(), 2u);
  EXPECT_EQ(choices(group, 2), "bb");
  --a->in_use;
  group.follow(upstream({server("b")}));
  EXPECT_EQ(group.size(), 1u);
}

using Method = config::Balancing::Method;

std::shared_ptr<config::Upstream> balanced(Method method, std::vector<config::UpstreamServer> servers) {
  auto made = upstream(std::move(servers));
  made->balancing.method = method;
  return made;
}

TEST(Group, FailuresCountWithinTheirWindow) {
  auto a = server("a");
  a.max_fails = 2;
  a.fail_timeout_ms = 1'000;
  Group group;
  group.follow(upstream({a, server("b")}));
  Peer* peer = choose(group, {}, 5'000);
  ASSERT_EQ(name_of(peer), "a");
  peer->failed(5'000);
  EXPECT_TRUE(peer->is_available(5'001));  // The first of two.
  peer->failed(6'500);
  EXPECT_TRUE(peer->is_available(6'501));  // That one was in another window.
  peer->failed(7'000);
  EXPECT_FALSE(peer->is_available(7'999));
  EXPECT_TRUE(peer->is_available(8'000));
  peer->chosen(8'000);
  EXPECT_FALSE(peer->is_available(8'001));  // One tries it.
  peer->failed(8'100);
  EXPECT_FALSE(peer->is_available(9'099));  // One more failure is enough now.
}

TEST(Group, WithoutMaxFailsAServerIsNeverAside) {
  auto a = server("a");
  a.max_fails = 0;
  Group group;
  group.follow(upstream({a}));
  for (int i = 0; i < 10; ++i) group.peers()[0]->failed(1'000);
  EXPECT_TRUE(group.peers()[0]->is_available(1'000));
  EXPECT_EQ(group.peers()[0]->failures, 10u);
}

TEST(Group, AFullServerIsNotChosen) {
  auto a = server("a");
  a.max_conns = 2;
  Group group;
  group.follow(upstream({a}));
  Peer* peer = choose(group);
  peer->in_use = 1;
  EXPECT_EQ(choose(group), peer);
  peer->in_use = 2;
  EXPECT_EQ(choose(group), nullptr);
}

TEST(Group, AnUnhealthyServerIsOutAndSlowlyComesBack) {
  auto a = server("a");
  a.slow_start_ms = 10'000;
  Group group;
  group.follow(upstream({a, server("b")}));
  Peer* peer = choose(group);
  ASSERT_EQ(name_of(peer), "a");
  peer->set_healthy(false, 1'000);
  EXPECT_EQ(choices(group, 3, 2'000), "bbb");
  EXPECT_EQ(choose(group, {group.peers()[1].get()}, 2'000), nullptr);
  peer->set_healthy(true, 100'000);
  const std::string soon = choices(group, 100, 101'000);  // At a tenth of its weight.
  const auto got = std::count(soon.begin(), soon.end(), 'a');
  EXPECT_GE(got, 5);
  EXPECT_LE(got, 13);
  const std::string later = choices(group, 100, 110'000);
  EXPECT_NEAR(static_cast<double>(std::count(later.begin(), later.end(), 'a')), 50, 2);
}

TEST(Group, ASuccessAfterFailuresStartsSlowly) {
  auto a = server("a");
  a.slow_start_ms = 10'000;
  Group group;
  group.follow(upstream({a, server("b")}));
  Peer& peer = *group.peers()[0];
  EXPECT_EQ(peer.weight_at(1'000), Peer::kWeightUnit);
  peer.failed(1'000);
  peer.succeeded(20'000);
  EXPECT_EQ(peer.weight_at(25'000), Peer::kWeightUnit / 2);
  EXPECT_EQ(peer.weight_at(30'000), Peer::kWeightUnit);
}

TEST(Group, TheLeastBusyIsTakenAndEqualsInTurn) {
  Group group;
  group.follow(balanced(Method::LeastConn, {server("a", 2), server("b"), server("c")}));
  group.peers()[0]->in_use = 3;
  group.peers()[1]->in_use = 2;
  group.peers()[2]->in_use = 2;
  EXPECT_EQ(choices(group, 2), "aa");  // Three for a weight of two.
  group.peers()[0]->in_use = 5;
  const std::string equals = choices(group, 4);
  EXPECT_EQ(std::count(equals.begin(), equals.end(), 'b'), 2) << equals;
  EXPECT_EQ(std::count(equals.begin(), equals.end(), 'c'), 2) << equals;
}

// Which server each of many keys gets.
std::string owners(Group& group, int64_t now_ms = 1000) {
  std::string out;
  for (int i = 0; i < 2'000; ++i) out += name_of(choose(group, {}, now_ms, key_hash("key" + std::to_string(i))));
  return out;
}

int moved(const std::string& before, const std::string& after, char from) {
  int count = 0;
  for (size_t i = 0; i < before.size(); ++i) count += before[i] != from && before[i] != after[i];
  return count;
}

TEST(Group, AKeyStaysWithItsServer) {
  for (const bool consistent : {false, true}) {
    auto hashed = balanced(Method::Hash, {server("a"), server("b"), server("c", 2)});
    hashed->balancing.consistent = consistent;
    Group group;
    group.follow(hashed);
    const std::string before = owners(group);
    EXPECT_EQ(owners(group), before);
    EXPECT_NEAR(static_cast<double>(std::count(before.begin(), before.end(), 'c')), 1'000, 150);
    // One that is aside leaves the others' keys where they are, and gets its own back.
    group.peers()[0]->failed(1'000);
    const std::string meanwhile = owners(group, 1'001);
    EXPECT_EQ(std::count(meanwhile.begin(), meanwhile.end(), 'a'), 0);
    EXPECT_EQ(moved(before, meanwhile, 'a'), 0);
    group.peers()[0]->succeeded(1'002);
    EXPECT_EQ(owners(group, 1'003), before);
  }
}

TEST(Group, OnlyARingSurvivesAChangeOfServers) {
  for (const bool consistent : {false, true}) {
    auto hashed = balanced(Method::Hash, {server("a"), server("b"), server("c"), server("d")});
    hashed->balancing.consistent = consistent;
    auto without = std::make_shared<config::Upstream>(*hashed);
    without->servers.pop_back();
    Group group;
    group.follow(hashed);
    const std::string before = owners(group);
    group.follow(without);
    const int lost = moved(before, owners(group), 'd');
    EXPECT_EQ(lost == 0, consistent) << lost;
  }
}

TEST(Group, ByLotEachGetsItsShareAndTheBusierOfTwoIsSpared) {
  auto drawn = balanced(Method::Random, {server("a", 3), server("b")});
  Group group;
  group.follow(drawn);
  const std::string lots = choices(group, 4'000);
  EXPECT_NEAR(static_cast<double>(std::count(lots.begin(), lots.end(), 'a')), 3'000, 200);
  auto two = std::make_shared<config::Upstream>(*drawn);
  two->balancing.two = true;
  group.follow(two);
  group.peers()[0]->in_use = 9;
  EXPECT_EQ(choices(group, 20), std::string(20, 'b'));
}

config::UpstreamServer named(const std::string& address, const std::string& name) {
  auto made = server(address);
  made.address.length = 1;
  made.resolve = name;
  return made;
}

std::vector<config::Address> addresses(const std::vector<std::string>& texts) {
  std::vector<config::Address> out;
  for (const std::string& text : texts) out.push_back({.length = 1, .text = text});
  return out;
}

std::string members(const Group& group) {
  std::string out;
  for (const auto& peer : group.peers()) {
    if (peer->configured) out += peer->server().address.text;
  }
  return out;
}

TEST(Group, ANameIsAsManyServersAsItHasAddresses) {
  auto other = server("z");
  other.address.length = 1;
  auto unknown = named("", "later");
  unknown.address.length = 0;
  const auto made = upstream({named("a", "app"), named("b", "app"), unknown, other});
  Group group;
  group.follow(made);
  EXPECT_EQ(members(group), "abz");
  EXPECT_EQ(group.names(), (std::vector<std::string>{"app", "later"}));
  Peer* a = group.peers()[0].get();
  ++a->in_use;
  EXPECT_TRUE(group.set_addresses("app", addresses({"c", "b", "c"})));
  EXPECT_FALSE(group.set_addresses("app", addresses({"b", "c"})));
  EXPECT_TRUE(group.set_addresses("later", addresses({"y"})));
  std::string now = members(group);
  std::sort(now.begin(), now.end());
  EXPECT_EQ(now, "bcyz");
  const std::string chosen = choices(group, 8);
  EXPECT_EQ(chosen.find('a'), std::string::npos);
  // A reload of the same names keeps what was learned; one without them forgets it.
  group.follow(std::make_shared<config::Upstream>(*made));
  now = members(group);
  std::sort(now.begin(), now.end());
  EXPECT_EQ(now, "bcyz");
  group.follow(upstream({other}));
  EXPECT_EQ(members(group), "z");
}

TEST(HashRing, IsKetamas) {
  HashRing ring;
  EXPECT_TRUE(ring.empty());
  ring.build({{"127.0.0.1:8080", 1}, {"127.0.0.1:8081", 3}, {"unix:/x", 1}});
  EXPECT_GT(ring.size(), 5 * HashRing::kPointsPerWeight - 5);
  EXPECT_EQ(key_hash("123456789"), 0xcbf43926u);  // CRC-32's check value.
  // The first point of a server: host, NUL, port, and four zero bytes for the point before it.
  HashRing one;
  one.build({{"127.0.0.1:8080", 1}});
  const uint32_t hash = key_hash(std::string("127.0.0.1\0" "8080\0\0\0\0", 18));
  EXPECT_NE(one.find(hash), one.find(hash + 1));  // There is a point exactly here ...
  EXPECT_EQ(one.find(hash + 1), one.find(hash + 2));
  EXPECT_EQ(one.server_at(one.find(hash) + one.size()), 0u);  // ... and the circle closes.
}

TEST(HashRing, HugeWeightsStayWithinTheLimit) {
  HashRing ring;
  ring.build({{"a:1", 65'535}, {"b:1", 65'535}});
  EXPECT_LE(ring.size(), HashRing::kPointsMax);
  EXPECT_GT(ring.size(), HashRing::kPointsMax / 4);
}

}  // namespace
}  // namespace beamgate::upstream
