// Listening sockets: bound for every slot, agreed in two steps, never resetting who is in a queue.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/config/load.h"
#include "master/listen_sockets.h"

namespace beamgate::master {
namespace {

using testing::ElementsAre;

std::shared_ptr<const config::Config> config_with(const std::string& listens) {
  const auto loaded = config::load_text("events {}\nhttp { server { " + listens + " return 204; } }\n");
  EXPECT_TRUE(loaded.ok()) << config::report(loaded);
  return loaded.config;
}

// The error's text, or nothing.
std::string open_all(ListenSockets& sockets, const config::Config& config, uint16_t slots) {
  auto failure = sockets.prepare(config, slots);
  if (!failure) failure = sockets.commit();
  return failure ? failure->address + ": " + failure->error.message() : "";
}

UniqueFd connect_to(const std::string& address) {
  UniqueFd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  if (connect(out.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) out.reset();
  return out;
}

int accept_all(const ListenSockets& sockets, uint16_t slot) {
  int count = 0;
  for (const auto& listen : sockets.of_slot(slot)) {
    for (UniqueFd client(accept(listen.descriptor, nullptr, nullptr)); client.valid();
         client.reset(accept(listen.descriptor, nullptr, nullptr))) {
      ++count;
    }
  }
  return count;
}

TEST(ListenSockets, OnePortForAllSlotsEachWithItsOwnQueue) {
  const auto config = config_with("listen 127.0.0.1:0;");
  ListenSockets sockets;
  ASSERT_EQ(open_all(sockets, *config, 4), "");
  const auto addresses = sockets.addresses(*config);
  ASSERT_EQ(addresses.size(), 1u);
  EXPECT_FALSE(addresses[0].ends_with(":0"));
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(connect_to(addresses[0]));
  int total = 0;
  for (uint16_t slot = 0; slot < 4; ++slot) {
    const int accepted = accept_all(sockets, slot);
    EXPECT_GT(accepted, 0) << slot;
    total += accepted;
  }
  EXPECT_EQ(total, 200);
}

TEST(ListenSockets, WhatIsAcceptedSendsWithoutDelay) {
  const auto config = config_with("listen 127.0.0.1:0;");
  ListenSockets sockets;
  ASSERT_EQ(open_all(sockets, *config, 1), "");
  const UniqueFd client = connect_to(sockets.addresses(*config)[0]);
  const UniqueFd accepted(accept(sockets.of_slot(0)[0].descriptor, nullptr, nullptr));
  int on = 0;
  socklen_t length = sizeof on;
  ASSERT_EQ(getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, &length), 0);
  EXPECT_EQ(on, 1);
}

TEST(ListenSockets, RefusesAPortThatAnotherMasterListensOn) {
  const auto config = config_with("listen 127.0.0.1:0;");
  ListenSockets first;
  ASSERT_EQ(open_all(first, *config, 2), "");
  const std::string address = first.addresses(*config)[0];
  ListenSockets second;
  const auto same = config_with("listen " + address + ";");
  EXPECT_EQ(open_all(second, *same, 2), address + ": can't bind: Address already in use");
  EXPECT_TRUE(second.of_slot(0).empty());
}

TEST(ListenSockets, AbortTakesTheNewOnesBackAndKeepsTheOld) {
  const auto one = config_with("listen 127.0.0.1:0;");
  ListenSockets sockets;
  ASSERT_EQ(open_all(sockets, *one, 2), "");
  const std::string old_address = sockets.addresses(*one)[0];
  const auto two = config_with("listen 127.0.0.1:0; listen [::1]:0;");
  ASSERT_FALSE(sockets.prepare(*two, 4));
  EXPECT_EQ(sockets.added(3).size(), 1u);
  EXPECT_EQ(sockets.of_slot(0).size(), 1u);
  sockets.abort();
  EXPECT_TRUE(sockets.added(0).empty());
  const UniqueFd client = connect_to(old_address);
  EXPECT_TRUE(client.valid());
  EXPECT_EQ(accept_all(sockets, 0) + accept_all(sockets, 1), 1);
}

TEST(ListenSockets, NobodyCanConnectBeforeTheCommit) {
  std::string address;
  {
    const auto any = config_with("listen 127.0.0.1:0;");
    ListenSockets probe;
    ASSERT_EQ(open_all(probe, *any, 1), "");
    address = probe.addresses(*any)[0];
  }
  const auto config = config_with("listen " + address + ";");
  ListenSockets sockets;
  ASSERT_FALSE(sockets.prepare(*config, 2));
  EXPECT_FALSE(connect_to(address).valid());
  ASSERT_FALSE(sockets.commit());
  EXPECT_TRUE(connect_to(address).valid());
}

TEST(ListenSockets, ACommitWithoutAListenClosesIt) {
  const auto two = config_with("listen 127.0.0.1:0; listen [::1]:0;");
  ListenSockets sockets;
  ASSERT_EQ(open_all(sockets, *two, 2), "");
  EXPECT_EQ(sockets.addresses(*two).size(), 2u);
  EXPECT_TRUE(sockets.addresses(*two)[1].starts_with("[::1]:"));
  const auto one = config_with("listen 127.0.0.1:0;");
  ASSERT_EQ(open_all(sockets, *one, 2), "");
  EXPECT_EQ(sockets.of_slot(0).size(), 1u);
}

TEST(ListenSockets, AShrinkingGroupSendsNewClientsToTheRest) {
  const auto config = config_with("listen 127.0.0.1:0;");
  ListenSockets sockets;
  ASSERT_EQ(open_all(sockets, *config, 4), "");
  const std::string address = sockets.addresses(*config)[0];
  std::vector<UniqueFd> clients;
  const auto connect_many = [&](int count) {
    for (int i = 0; i < count; ++i) clients.push_back(connect_to(address));
  };
  connect_many(100);
  sockets.steer(2);
  const int queued = accept_all(sockets, 2) + accept_all(sockets, 3);
  EXPECT_GT(queued, 0);
  connect_many(100);
  EXPECT_EQ(accept_all(sockets, 2) + accept_all(sockets, 3), 0);
  EXPECT_EQ(accept_all(sockets, 0) + accept_all(sockets, 1), 200 - queued);
  sockets.trim(2);
  connect_many(50);
  EXPECT_EQ(accept_all(sockets, 0) + accept_all(sockets, 1), 50);
  ASSERT_EQ(open_all(sockets, *config, 4), "") << "and it can grow again";
  connect_many(200);
  EXPECT_GT(accept_all(sockets, 3), 0);
}

class UnixListenTest : public testing::Test {
 protected:
  UnixListenTest() {
    char name[] = "/tmp/beamgate-test-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/socket";
    config_ = config_with("listen unix:" + path_ + ";");
  }
  ~UnixListenTest() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  bool exists() const { return access(path_.c_str(), F_OK) == 0; }

  std::string directory_, path_;
  std::shared_ptr<const config::Config> config_;
};

TEST_F(UnixListenTest, OneSocketForAllSlotsThatGoesWithItsOwner) {
  {
    ListenSockets sockets;
    ASSERT_EQ(open_all(sockets, *config_, 3), "");
    EXPECT_EQ(sockets.of_slot(0)[0].descriptor, sockets.of_slot(2)[0].descriptor);
    EXPECT_THAT(sockets.addresses(*config_), ElementsAre("unix:" + path_));
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0666u);
    ListenSockets second;
    EXPECT_NE(open_all(second, *config_, 3), "") << "somebody listens there";
  }
  EXPECT_FALSE(exists());
}

TEST_F(UnixListenTest, AStaleFileIsReplacedAndAnythingElseIsNot) {
  {
    UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(exists());
  {
    ListenSockets sockets;
    EXPECT_EQ(open_all(sockets, *config_, 1), "");
  }
  FILE* file = fopen(path_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  fclose(file);
  {
    ListenSockets sockets;
    EXPECT_EQ(open_all(sockets, *config_, 1),
              "unix:" + path_ + ": a file that is no socket is in the way: Address already in use");
  }
  EXPECT_TRUE(exists()) << "not ours to remove";
}

TEST_F(UnixListenTest, AnAbortedOneLeavesNoFile) {
  ListenSockets sockets;
  ASSERT_FALSE(sockets.prepare(*config_, 1));
  EXPECT_TRUE(exists());
  sockets.abort();
  EXPECT_FALSE(exists());
}

}  // namespace
}  // namespace beamgate::master
