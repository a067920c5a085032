// Shows both ends of a TLS connection in memory: bytes in any pieces, orderly and other ends, tickets, names.
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include <memory>
#include <string>
#include <vector>

#include "common/tls/client_session.h"
#include "common/tls/server_session.h"

namespace beamgate::tls {
namespace {

std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<size_t>(bytes));
}

// A certificate that has signed itself, and its key.
struct Pair {
  explicit Pair(const char* name) {
    const KeyPtr own(EVP_EC_gen("P-256"));
    const CertificatePtr made(X509_new());
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 7);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), own.get());
    X509_NAME* subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    X509_sign(made.get(), own.get(), EVP_sha256());
    const BioPtr pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(pem.get(), made.get());
    certificate = {std::string(name) + ".pem", text_of(pem.get())};
    const BioPtr secret(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(secret.get(), own.get(), nullptr, nullptr, 0, nullptr, nullptr);
    key = {std::string(name) + ".key", text_of(secret.get())};
  }

  File certificate;
  File key;
};

std::shared_ptr<const ServerContext> context_with(const Pair& pair, const std::vector<TicketKey>& keys = {}) {
  ServerSettings settings;
  settings.certificates = {pair.certificate};
  settings.keys = {pair.key};
  settings.ticket_keys = keys;
  std::vector<Problem> problems;
  auto made = ServerContext::make(settings, problems);
  EXPECT_TRUE(problems.empty());
  return made;
}

std::shared_ptr<const ClientContext> client_context(const File& trusted = {}) {
  ClientSettings settings;
  settings.verify = trusted.named();
  settings.trusted_ca = trusted;
  std::vector<Problem> problems;
  return ClientContext::make(settings, problems);
}

class OneServer final : public Contexts {
 public:
  explicit OneServer(std::shared_ptr<const ServerContext> context) : context_(std::move(context)) {}
  std::shared_ptr<const ServerContext> context_of(uint32_t) override { return context_; }
  std::shared_ptr<const ServerContext> context_of(uint32_t, std::string_view name) override {
    asked.emplace_back(name);
    return context_;
  }
  bool speaks_http2(uint32_t, std::string_view) override { return false; }

  std::vector<std::string> asked;

 private:
  std::shared_ptr<const ServerContext> context_;
};

// Carries everything from one to the other, `piece` bytes at a time; what was said is appended to `heard`.
bool carry(Session& from, Session& to, size_t piece, std::string& heard) {
  std::vector<char> into(64 << 10);
  const bool any = !from.wire.pending().empty();
  while (!from.wire.pending().empty()) {
    const std::string part(from.wire.pending().substr(0, piece));
    from.wire.took(part.size());
    heard.append(into.data(), to.receive(part, into));
  }
  return any;
}

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
  OneServer one_{context_with(pair_)};
  std::vector<char> nothing_ = std::vector<char>(64 << 10);
};

TEST_P(Sessions, CarryBytesBothWaysAndEndInOrder) {
  const auto server = ServerSession::open(one_.context_of(1), one_, 1, nullptr);
  const auto client = ClientSession::open({client_context(), "One.Test.", true}, "a");
  shake_hands(*server, *client);
  ASSERT_EQ(server->state(), Session::State::Established);
  ASSERT_EQ(client->state(), Session::State::Established);
  EXPECT_EQ(server->server_name(), "one.test");
  EXPECT_EQ(one_.asked, std::vector<std::string>{"one.test"});
  EXPECT_EQ(server->protocol(), "TLSv1.3");
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
  const auto server = ServerSession::open(one_.context_of(1), one_, 1, nullptr);
  const auto client = ClientSession::open({client_context(), "", false}, "a");
  shake_hands(*server, *client);
  ASSERT_TRUE(client->send("hello"));
  client->wire.output.back() = static_cast<char>(client->wire.output.back() ^ 1);
  std::string heard;
  carry(*client, *server, GetParam(), heard);
  EXPECT_EQ(heard, "");
  EXPECT_EQ(server->state(), Session::State::Failed);
  EXPECT_STRNE(server->failure(), "");
  EXPECT_FALSE(server->send("more"));
}

INSTANTIATE_TEST_SUITE_P(Pieces, Sessions, ::testing::Values(1, 7, 1000, 100'000));

class Resuming : public Sessions {};

TEST_P(Resuming, NeedsTheSameKeysAndNoMore) {
  const auto page = std::make_unique<TicketKeyPage>();
  page->rotate(1);
  const Target target{client_context(), "one.test", true};
  OneServer again(context_with(pair_));  // As another worker has it.
  for (const bool known : {false, true, true}) {
    const auto server = ServerSession::open(again.context_of(1), again, 1, page.get());
    const auto client = ClientSession::open(target, "a");
    shake_hands(*server, *client);
    EXPECT_EQ(server->resumed(), known);
    EXPECT_EQ(client->resumed(), known);
    client->close();  // A session that ends otherwise is not to be resumed.
  }
  const auto elsewhere = std::make_unique<TicketKeyPage>();
  elsewhere->rotate(1);
  const auto server = ServerSession::open(again.context_of(1), again, 1, elsewhere.get());
  const auto client = ClientSession::open(target, "a");
  shake_hands(*server, *client);
  EXPECT_EQ(server->state(), Session::State::Established);
  EXPECT_FALSE(server->resumed());
}

TEST_P(Resuming, OutlivesRotationsAsLongAsTheKeyIsThere) {
  const auto page = std::make_unique<TicketKeyPage>();
  int64_t now = 1;
  page->rotate(now);
  OneServer again(context_with(pair_));
  for (size_t rotations = 1; rotations <= TicketKeyPage::kKeys; ++rotations) {
    const Target target{client_context(), "one.test", true};
    for (const bool second : {false, true}) {
      const auto server = ServerSession::open(again.context_of(1), again, 1, page.get());
      const auto client = ClientSession::open(target, "a");
      shake_hands(*server, *client);
      EXPECT_EQ(server->resumed(), second && rotations < TicketKeyPage::kKeys) << rotations;
      client->close();
      for (size_t i = 0; !second && i < rotations; ++i) page->rotate(now += TicketKeyPage::kRotationMs);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Whole, Resuming, ::testing::Values(100'000));

TEST(Verification, AnUntrustedServerIsRefusedWithTheReason) {
  const Pair pair("one.test"), other("other.test");
  OneServer one(context_with(pair));
  const auto server = ServerSession::open(one.context_of(1), one, 1, nullptr);
  const auto client = ClientSession::open({client_context(other.certificate), "one.test", false}, "a");
  std::vector<char> into(64 << 10);
  client->receive({}, into);
  std::string heard;
  while (carry(*client, *server, 100'000, heard) || carry(*server, *client, 100'000, heard)) {
  }
  EXPECT_EQ(client->state(), Session::State::Failed);
  EXPECT_NE(std::string(client->failure()).find("certificate"), std::string::npos) << client->failure();
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
