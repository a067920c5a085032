// Shows both ends of a TLS connection in memory: bytes in any pieces, orderly and other ends, tickets, names.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/tls/client_session.h"
#include "common/tls/server_session.h"
#include "tests/unit/common/tls/two_ends.h"

namespace beamgate::tls {
namespace {

class Sessions : public ::testing::TestWithParam<size_t> {
 protected:
  void shake_hands(ServerSession& server, ClientSession& client) {
    client.receive({}, nothing_);
    std::string heard;
    while (carry(client, server, GetParam(), heard) || carry(server, client, GetParam(), heard)) {
    }
    EXPECT_EQ(heard, "");
  }

  const Pair pair_{"one.test"};
  OneServer one_{server_context(pair_)};
  std::vector<char> nothing_ = std::vector<char>(64 << 10);
};

TEST_P(Sessions, CarryBytesBothWaysAndEndInOrder) {
  const auto server = one_.open();
  const auto client = ClientSession::open({client_context(), "One.Test.", true}, "a");
  shake_hands(*server, *client);
  ASSERT_EQ(server->state(), Session::State::Established);
  ASSERT_EQ(client->state(), Session::State::Established);
  EXPECT_EQ(server->negotiated().server_name(), "one.test");
  EXPECT_EQ(one_.asked, std::vector<std::string>{"one.test"});
  EXPECT_EQ(server->negotiated().protocol(), "TLSv1.3");
  const std::string large(50'000, 'x');
  std::string heard;
  ASSERT_TRUE(client->send(large));
  carry(*client, *server, GetParam(), heard);
  EXPECT_EQ(heard, large);
  heard.clear();
  ASSERT_TRUE(server->send("an answer"));
  carry(*server, *client, GetParam(), heard);
  EXPECT_EQ(heard, "an answer");
  client->close();
  client->close();
  carry(*client, *server, GetParam(), heard);
  EXPECT_EQ(server->state(), Session::State::Closed);
  ASSERT_TRUE(server->send("after the other's end"));
  server->close();
  EXPECT_FALSE(server->wire.pending().empty());
}

TEST_P(Sessions, ChangedBytesFail) {
  const auto server = one_.open();
  const auto client = ClientSession::open({client_context(), "", false}, "a");
  shake_hands(*server, *client);
  ASSERT_TRUE(client->send("hello"));
  client->wire.output.back() = static_cast<char>(client->wire.output.back() ^ 1);
  std::string heard;
  carry(*client, *server, GetParam(), heard);
  EXPECT_EQ(heard, "");
  EXPECT_EQ(server->state(), Session::State::Failed);
  EXPECT_STRNE(server->failure().text, "");
  EXPECT_FALSE(server->send("more"));
}

// What comes with the handshake's last bytes may be for a record layer of another's.
TEST_P(Sessions, AServerStopsBehindItsHandshake) {
  const auto server = one_.open();
  const auto client = ClientSession::open({client_context(), "", false}, "a");
  std::string heard;
  client->receive({}, nothing_);
  carry(*client, *server, GetParam(), heard);
  carry(*server, *client, GetParam(), heard);
  ASSERT_EQ(client->state(), Session::State::Established);
  const size_t finished = client->wire.pending().size();
  ASSERT_TRUE(client->send("first"));
  const std::string flight(client->wire.pending());
  EXPECT_EQ(server->receive(flight, nothing_), 0u);
  EXPECT_EQ(server->state(), Session::State::Established);
  EXPECT_EQ(server->unread().size(), flight.size() - finished);
  const size_t bytes = server->receive(server->unread(), nothing_);
  EXPECT_EQ(std::string(nothing_.data(), bytes), "first");
  EXPECT_TRUE(server->unread().empty());
}

INSTANTIATE_TEST_SUITE_P(Pieces, Sessions, ::testing::Values(1, 7, 1000, 100'000));

class Resuming : public Sessions {};

TEST_P(Resuming, NeedsTheSameKeysAndNoMore) {
  const auto page = std::make_unique<TicketKeyPage>();
  page->rotate(1);
  const Target target{client_context(), "one.test", true};
  OneServer again(server_context(pair_));  // As another worker has it.
  for (const bool known : {false, true, true}) {
    const auto server = again.open(page.get());
    const auto client = ClientSession::open(target, "a");
    shake_hands(*server, *client);
    EXPECT_EQ(server->negotiated().resumed(), known);
    EXPECT_EQ(client->resumed(), known);
    client->close();  // A session that ends otherwise is not to be resumed.
  }
  const auto elsewhere = std::make_unique<TicketKeyPage>();
  elsewhere->rotate(1);
  const auto server = again.open(elsewhere.get());
  const auto client = ClientSession::open(target, "a");
  shake_hands(*server, *client);
  EXPECT_EQ(server->state(), Session::State::Established);
  EXPECT_FALSE(server->negotiated().resumed());
}

TEST_P(Resuming, OutlivesRotationsAsLongAsTheKeyIsThere) {
  const auto page = std::make_unique<TicketKeyPage>();
  int64_t now = 1;
  page->rotate(now);
  OneServer again(server_context(pair_));
  for (size_t rotations = 1; rotations <= TicketKeyPage::kKeys; ++rotations) {
    const Target target{client_context(), "one.test", true};
    for (const bool second : {false, true}) {
      const auto server = again.open(page.get());
      const auto client = ClientSession::open(target, "a");
      shake_hands(*server, *client);
      EXPECT_EQ(server->negotiated().resumed(), second && rotations < TicketKeyPage::kKeys) << rotations;
      client->close();
      for (size_t i = 0; !second && i < rotations; ++i) page->rotate(now += TicketKeyPage::kRotationMs);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Whole, Resuming, ::testing::Values(100'000));

TEST(Verification, AnUntrustedServerIsRefusedWithTheReason) {
  const Pair pair("one.test"), other("other.test");
  OneServer one(server_context(pair));
  const auto server = one.open();
  const auto client = ClientSession::open({client_context(other.certificate), "one.test", false}, "a");
  std::vector<char> into(64 << 10);
  client->receive({}, into);
  std::string heard;
  while (carry(*client, *server, 100'000, heard) || carry(*server, *client, 100'000, heard)) {
  }
  EXPECT_EQ(client->state(), Session::State::Failed);
  EXPECT_NE(std::string(client->failure().text).find("certificate"), std::string::npos) << client->failure().text;
  EXPECT_EQ(server->state(), Session::State::Failed);
}

TEST(Contexts, AKeyOfAnotherCertificateIsNamed) {
  const Pair pair("one.test"), other("other.test");
  ServerSettings settings;
  settings.certificates = {pair.certificate};
  settings.keys = {other.key};
  std::vector<Problem> problems;
  EXPECT_EQ(ServerContext::make(settings, problems), nullptr);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].path, "other.test.key");
  EXPECT_FALSE(problems[0].warning);
}

}  // namespace
}  // namespace beamgate::tls
