// Shows that what a handshake has agreed on is the same in another process, and that bytes which say it in part or in
// another way are refused or harmless.
#include "common/tls/negotiated.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/tls/client_session.h"
#include "tests/unit/common/tls/two_ends.h"

namespace beamgate::tls {
namespace {

constexpr size_t kPackedHeadBytes = 24;
constexpr std::string_view kSuiteName = "TLS_AES_256_GCM_SHA384";

struct Told {
  const char* name;
  Verify verify = Verify::Off;
  bool trusted = false;  // The client's certificate is known to the server.
  bool shows = false;    // It has one.
  const char* server_name = "";
};

class Negotiating : public ::testing::TestWithParam<Told> {
 protected:
  Negotiated negotiate() {
    const Told& told = GetParam();
    const Pair pair("one.test"), client("a client"), somebody("somebody else");
    context_ = server_context(pair, [&](ServerSettings& settings) {
      settings.verify = told.verify;
      if (told.verify != Verify::Off) settings.client_ca = told.trusted ? client.certificate : somebody.certificate;
    });
    OneServer one(context_);
    const auto server = one.open();
    const Target target{client_context({}, told.shows ? &client : nullptr), told.server_name, true};
    const auto session = ClientSession::open(target, "a");
    std::vector<char> into(64 << 10);
    session->receive({}, into);
    std::string heard;
    while (carry(*session, *server, 100'000, heard) || carry(*server, *session, 100'000, heard)) {
    }
    EXPECT_EQ(server->state(), Session::State::Established) << server->failure().text;
    return server->negotiated();
  }

  std::shared_ptr<const ServerContext> context_;
};

void expect_same(const Negotiated& a, const Negotiated& b) {
  EXPECT_EQ(a.protocol(), b.protocol());
  EXPECT_EQ(a.cipher(), b.cipher());
  EXPECT_EQ(a.server_name(), b.server_name());
  EXPECT_EQ(a.resumed(), b.resumed());
  EXPECT_EQ(a.chose_http2(), b.chose_http2());
  EXPECT_EQ(a.verify(), b.verify());
  EXPECT_EQ(a.trust(), b.trust());
  EXPECT_STREQ(a.client_refusal(), b.client_refusal());
  EXPECT_EQ(a.client_verify(), b.client_verify());
  EXPECT_EQ(a.client_subject(), b.client_subject());
  EXPECT_EQ(a.client_issuer(), b.client_issuer());
  EXPECT_EQ(a.client_serial(), b.client_serial());
  EXPECT_EQ(a.client_fingerprint(), b.client_fingerprint());
  EXPECT_EQ(a.client_certificate(), b.client_certificate());
}

TEST_P(Negotiating, IsTheSameElsewhere) {
  const Told& told = GetParam();
  const Negotiated here = negotiate();
  EXPECT_EQ(here.protocol(), "TLSv1.3");
  EXPECT_EQ(here.cipher(), kSuiteName);
  EXPECT_EQ(here.server_name(), told.server_name);
  EXPECT_EQ(here.trust(), context_->trust());
  const bool seen = told.shows && told.verify != Verify::Off;
  EXPECT_EQ(here.client_subject(), seen ? "CN=a client" : "");
  EXPECT_EQ(here.client_serial(), seen ? "07" : "");
  EXPECT_EQ(here.client_fingerprint().size(), seen ? 40u : 0u);
  EXPECT_EQ(here.client_certificate().starts_with("-----BEGIN CERTIFICATE-----"), seen);
  EXPECT_EQ(here.client_verify().substr(0, 6), !seen ? "NONE" : told.trusted ? "SUCCES" : "FAILED");
  const bool fine = told.verify == Verify::Off || (!seen && told.verify != Verify::On) ||
                    (seen && (told.trusted || told.verify == Verify::OptionalNoCa));
  EXPECT_EQ(here.client_refusal() == nullptr, fine);
  const std::string packed = here.pack();
  const auto there = Negotiated::unpack(packed, kSuiteName);
  ASSERT_TRUE(there);
  expect_same(here, *there);
  EXPECT_EQ(there->pack(), packed);
}

TEST_P(Negotiating, IsRefusedInPartOrHarmless) {
  const Negotiated here = negotiate();
  const std::string packed = here.pack();
  const size_t without_client = kPackedHeadBytes + here.server_name().size();
  ASSERT_GE(packed.size(), without_client);
  for (size_t bytes = 0; bytes < packed.size(); ++bytes) {
    const std::vector<char> part(packed.begin(), packed.begin() + static_cast<long>(bytes));
    const auto there = Negotiated::unpack({part.data(), part.size()}, kSuiteName);
    EXPECT_EQ(there.has_value(), bytes == without_client) << bytes;
    EXPECT_EQ(there ? there->client_verify() : "NONE", "NONE") << "nobody is somebody for it";
  }
  EXPECT_FALSE(Negotiated::unpack(packed + "x", kSuiteName)) << "something behind it";
  EXPECT_FALSE(Negotiated::unpack(packed + std::string(Negotiated::kPackedBytesMax, 'x'), kSuiteName)) << "too long";
  EXPECT_EQ(ERR_peek_error(), 0u) << "the queue of errors is somebody else's";
}

TEST_P(Negotiating, IsNoneOfItsWhenDamaged) {
  const Negotiated here = negotiate();
  const std::string packed = here.pack();
  for (size_t at = 0; at < packed.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = packed;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto there = Negotiated::unpack(damaged, kSuiteName);
      if (!there) continue;
      // What it says can be asked for, whatever it is.
      there->client_refusal();
      const std::string all = there->client_verify() + there->client_subject() + there->client_issuer() +
                              there->client_serial() + there->client_fingerprint() + there->client_certificate();
      EXPECT_FALSE(all.empty());
      const std::string again = there->pack();
      EXPECT_TRUE(again.empty() || Negotiated::unpack(again, kSuiteName));
    }
  }
  if (here.client_verify() == "NONE") return;
  std::string damaged = packed;
  const size_t der = kPackedHeadBytes + here.server_name().size();
  damaged[der] = 0x31;  // A SET is no certificate.
  EXPECT_FALSE(Negotiated::unpack(damaged, kSuiteName));
  damaged[der] = 0x30;
  damaged[der + 3] = static_cast<char>(damaged[der + 3] + 1);  // Longer than it is.
  EXPECT_FALSE(Negotiated::unpack(damaged, kSuiteName));
  ERR_clear_error();
}

INSTANTIATE_TEST_SUITE_P(
    Handshakes, Negotiating,
    ::testing::Values(Told{.name = "plain", .server_name = "one.test"}, Told{.name = "without_a_name"},
                      Told{.name = "not_asked_for_a_certificate", .shows = true, .server_name = "one.test"},
                      Told{.name = "required_and_shown", .verify = Verify::On, .trusted = true, .shows = true},
                      Told{.name = "required_and_not_shown", .verify = Verify::On},
                      Told{.name = "required_and_unknown", .verify = Verify::On, .shows = true},
                      Told{.name = "optional_and_shown", .verify = Verify::Optional, .trusted = true, .shows = true,
                           .server_name = "one.test"},
                      Told{.name = "optional_and_not_shown", .verify = Verify::Optional},
                      Told{.name = "unknown_and_welcome", .verify = Verify::OptionalNoCa, .shows = true}),
    [](const auto& of) { return std::string(of.param.name); });

TEST(Packing, ANameMayBeAsLongAsAHelloAllows) {
  const Pair pair("one.test");
  OneServer one(server_context(pair));
  const std::string name(255, 'n');
  const auto server = one.open();
  const auto client = ClientSession::open({client_context(), name, true}, "a");
  std::vector<char> into(64 << 10);
  client->receive({}, into);
  std::string heard;
  while (carry(*client, *server, 100'000, heard) || carry(*server, *client, 100'000, heard)) {
  }
  ASSERT_EQ(server->state(), Session::State::Established);
  const auto there = Negotiated::unpack(server->negotiated().pack(), kSuiteName);
  ASSERT_TRUE(there);
  EXPECT_EQ(there->server_name(), name);
}

TEST(Packing, NothingIsNone) {
  EXPECT_FALSE(Negotiated::unpack({}, kSuiteName));
  std::string wrong(kPackedHeadBytes, '\0');
  EXPECT_TRUE(Negotiated::unpack(wrong, kSuiteName));
  wrong[2] = 4;  // A wish for certificates that there is none of.
  EXPECT_FALSE(Negotiated::unpack(wrong, kSuiteName));
  wrong[2] = 0;
  wrong[3] = 1;  // A name that isn't there.
  EXPECT_FALSE(Negotiated::unpack(wrong, kSuiteName));
}

}  // namespace
}  // namespace beamgate::tls
