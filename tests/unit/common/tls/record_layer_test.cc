// Shows that records of TLS 1.3 are sealed and opened as RFC 8448 publishes them and as OpenSSL's client has them, that
// whoever has the state goes on with it, and that each record that must not be is refused with its alert.
#include "common/tls/record_layer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/bytes.h"
#include "tests/unit/common/tls/record_peer.h"
#include "tests/unit/common/tls/two_ends.h"

namespace beamgate::tls {
namespace {

using Alert = RecordLayer::Alert;
using Opened = RecordLayer::Opened;
using SessionPtr = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;

constexpr Suite kSuites[] = {Suite::Aes128GcmSha256, Suite::Aes256GcmSha384, Suite::ChaCha20Poly1305Sha256};
constexpr size_t kSizes[] = {1, 2, 15, 16, 17, 100, 1000, 4096, 16'383, 16'384, 16'385, 32'768, 32'769, 70'000};

std::string pattern(size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(i * 7 + i / 251);
  return out;
}

// One behind the other; in braces they are also made in this order.
std::string join(std::initializer_list<std::string> parts) {
  std::string out;
  for (const std::string& part : parts) out += part;
  return out;
}

std::string bytes_of(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    if (hex[i] == ' ') ++i;
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

// A connection that was taken over from its handshake: what a worker does with one.
class End {
 public:
  explicit End(const Protection& from) : protection(from), layer_(std::make_unique<RecordLayer>()) {}

  std::string say(std::string_view plaintext) {
    std::string out;
    EXPECT_TRUE(layer_->seal(protection, plaintext, out));
    EXPECT_EQ(out.size(), RecordLayer::sealed_bytes(plaintext.size()));
    protection.progress.sealed += RecordLayer::records_for(plaintext.size());
    return out;
  }

  std::string say_alert(Alert alert) {
    std::string out;
    EXPECT_TRUE(layer_->seal_alert(protection, alert, out));
    EXPECT_EQ(out.size(), RecordLayer::kAlertBytes);
    ++protection.progress.sealed;
    return out;
  }

  std::string say_key_update() {
    std::string out;
    EXPECT_TRUE(layer_->seal_key_update(protection, out));
    EXPECT_EQ(out.size(), RecordLayer::kKeyUpdateBytes);
    layer_->update_own_keys(protection);
    return out;
  }

  // What came of it is appended to `heard`; half a record stays for the next time.
  Opened hear(std::string_view bytes) {
    input_ += bytes;
    std::vector<char> into(input_.size());
    const Opened opened = layer_->open(protection, input_, into);
    EXPECT_LE(opened.used, input_.size());
    EXPECT_EQ(opened.failure.has_value(), *opened.reason != '\0');
    heard.append(into.data(), opened.plaintext);
    input_.erase(0, opened.used);
    return opened;
  }

  // Into another process: the state is copied, and the keys are made of it anew.
  void move() {
    Protection copied;
    memcpy(&copied, &protection, sizeof copied);
    protection = copied;
    layer_ = std::make_unique<RecordLayer>();
  }

  RecordLayer& layer() { return *layer_; }
  size_t unopened() const { return input_.size(); }

  Protection protection;
  std::string heard;

 private:
  std::unique_ptr<RecordLayer> layer_;
  std::string input_;
};

// --- RFC 8448 section 3: secrets of the application's traffic, and what was sealed with them.

constexpr std::string_view kClientSecret = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
constexpr std::string_view kServerSecret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
constexpr std::string_view kClientData =
    "1703030043 a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
    "6292a2977014bd1e3deae63aeebb21694915e4";
constexpr std::string_view kServerData =
    "1703030043 2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2"
    "e5f0a21c0047c2abf332540dd032e167c2955d";
constexpr std::string_view kClientClose = "1703030013 c9872760655666b74d7ff1153efd6db6d0b0e3";
constexpr std::string_view kServerClose = "1703030013 b58fd67166ebf599d24720cfbe7efa7a8864a9";

Protection of_the_trace(std::string_view peer, std::string_view own) {
  Protection protection;
  const std::string theirs = bytes_of(peer), ours = bytes_of(own);
  memcpy(protection.peer_secret, theirs.data(), theirs.size());
  memcpy(protection.own_secret, ours.data(), ours.size());
  return protection;
}

std::string counted_up(size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(i);
  return out;
}

TEST(KnownRecords, AreSealedAndOpenedByTheServer) {
  End server(of_the_trace(kClientSecret, kServerSecret));
  server.protection.progress.sealed = 1;  // Its ticket was the first.
  const Opened opened = server.hear(bytes_of(kClientData));
  EXPECT_FALSE(opened.failure);
  EXPECT_EQ(server.heard, counted_up(50));
  EXPECT_EQ(to_hex(server.say(counted_up(50))), to_hex(bytes_of(kServerData)));
  EXPECT_FALSE(server.hear(bytes_of(kClientClose)).failure);
  EXPECT_EQ(server.protection.progress.received_close, 1);
  EXPECT_EQ(to_hex(server.say_alert(Alert::CloseNotify)), to_hex(bytes_of(kServerClose)));
}

TEST(KnownRecords, AreSealedAndOpenedByTheClient) {
  End client(of_the_trace(kServerSecret, kClientSecret));
  EXPECT_EQ(to_hex(client.say(counted_up(50))), to_hex(bytes_of(kClientData)));
  EXPECT_EQ(to_hex(client.say_alert(Alert::CloseNotify)), to_hex(bytes_of(kClientClose)));
  client.protection.progress.opened = 1;
  EXPECT_FALSE(client.hear(bytes_of(kServerData) + bytes_of(kServerClose)).failure);
  EXPECT_EQ(client.heard, counted_up(50));
  EXPECT_EQ(client.protection.progress.received_close, 1);
}

TEST(KnownRecords, AreThoseOfTheOtherEndOfTheseTests) {
  const std::string secret = bytes_of(kClientSecret);
  RecordPeer peer(Suite::Aes128GcmSha256, reinterpret_cast<const uint8_t*>(secret.data()));
  EXPECT_EQ(to_hex(peer.seal(RecordPeer::kApplicationData, counted_up(50))), to_hex(bytes_of(kClientData)));
  EXPECT_EQ(to_hex(peer.seal(RecordPeer::kAlert, std::string("\x01\x00", 2))), to_hex(bytes_of(kClientClose)));
}

TEST(Suites, HaveTheirNames) {
  for (const Suite suite : kSuites) {
    EXPECT_TRUE(is_movable(static_cast<uint16_t>(suite)));
    EXPECT_TRUE(name_of(suite).starts_with("TLS_"));
  }
  for (const int other : {0, 0x1300, 0x1304, 0x1305, 0xc02b}) EXPECT_FALSE(is_movable(static_cast<uint16_t>(other)));
}

// --- Against OpenSSL's client.

class Client {
 public:
  Client(Suite suite, SSL_SESSION* known, const std::function<void(SSL_CTX*)>& change = {}) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_ciphersuites(context_.get(), std::string(name_of(suite)).c_str());
    if (change) change(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
    if (known != nullptr) SSL_set_session(ssl_.get(), known);
  }

  bool shake_hands() { return SSL_do_handshake(ssl_.get()) == 1; }
  bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  SSL_SESSION* session() { return SSL_get1_session(ssl_.get()); }
  void put(std::string_view bytes) {
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
  }

  std::string take() {  // What it has written.
    BIO* written = SSL_get_wbio(ssl_.get());
    std::string out(BIO_ctrl_pending(written), '\0');
    if (!out.empty()) BIO_read(written, out.data(), static_cast<int>(out.size()));
    return out;
  }

  std::string say(std::string_view plaintext) {
    const auto bytes = static_cast<int>(plaintext.size());
    EXPECT_EQ(SSL_write(ssl_.get(), plaintext.data(), bytes), bytes);
    return take();
  }

  std::string say_key_update(bool asks) {
    EXPECT_EQ(SSL_key_update(ssl_.get(), asks ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    EXPECT_TRUE(shake_hands());
    return take();
  }

  std::string say_close() {
    SSL_shutdown(ssl_.get());
    return take();
  }

  std::string hear(std::string_view bytes) {
    put(bytes);
    std::string out;
    std::vector<char> into(64 << 10);
    size_t got = 0;
    ERR_clear_error();
    while (SSL_read_ex(ssl_.get(), into.data(), into.size(), &got) == 1) out.append(into.data(), got);
    const int why = SSL_get_error(ssl_.get(), 0);
    closed = why == SSL_ERROR_ZERO_RETURN;
    failure = why == SSL_ERROR_SSL ? ERR_GET_REASON(ERR_peek_error()) : 0;
    ERR_clear_error();
    return out;
  }

  bool closed = false;
  int failure = 0;  // OpenSSL's reason.

 private:
  ContextPtr context_;
  SslPtr ssl_;
};

const Pair& pair() {
  static const Pair one("one.test");
  return one;
}

// A server with so many tickets; each keeps the session of the handshake before.
class Server {
 public:
  explicit Server(size_t tickets) : Server([&](ServerSettings& settings) {
    settings.commands = {{"NumTickets", std::to_string(tickets)}};
  }) {}
  explicit Server(const std::function<void(ServerSettings&)>& change) : one_(server_context(pair(), change)) {}

  // Up to where the client's last flight is to come.
  std::unique_ptr<ServerSession> begin(Client& client, const TicketKeyPage& page) {
    auto session = one_.open(&page);
    client.shake_hands();
    std::vector<char> into(64 << 10);
    EXPECT_EQ(session->receive(client.take(), into), 0u);
    client.put(session->wire.pending());
    session->wire.took(session->wire.pending().size());
    client.shake_hands();
    EXPECT_FALSE(session->take_over()) << "its handshake is not done";
    return session;
  }

 private:
  OneServer one_;
};

class TakenOver : public ::testing::TestWithParam<std::tuple<Suite, size_t, bool>> {
 protected:
  // The handshake; more: what the client says with its last flight.
  void connect(std::string_view more = {}) {
    const auto [suite, tickets, resumed] = GetParam();
    const auto page = std::make_unique<TicketKeyPage>();
    page->rotate(1);
    SessionPtr known;
    if (resumed) {
      Server first(2);
      Client before(suite, nullptr);
      const auto session = first.begin(before, *page);
      std::vector<char> into(64 << 10);
      session->receive(before.take(), into);
      before.hear(session->wire.pending());
      known.reset(before.session());
      before.say_close();
    }
    client_ = std::make_unique<Client>(suite, known.get());
    Server server(tickets);
    const auto session = server.begin(*client_, *page);
    const std::string flight = join({client_->take(), more.empty() ? std::string() : client_->say(more)});
    std::vector<char> into(64 << 10);
    EXPECT_EQ(session->receive(flight, into), 0u);
    const Protection* protection = session->take_over();
    ASSERT_TRUE(protection);
    EXPECT_EQ(protection->suite, suite);
    EXPECT_EQ(session->negotiated().cipher(), name_of(suite));
    EXPECT_EQ(session->negotiated().resumed(), resumed);
    EXPECT_EQ(client_->resumed(), resumed);
    // OpenSSL gives a client that resumes one ticket for the one it has used.
    EXPECT_EQ(protection->progress.sealed, resumed ? std::min<size_t>(tickets, 1) : tickets);
    server_ = std::make_unique<End>(*protection);
    EXPECT_EQ(client_->hear(session->wire.pending()), "");
    server_->hear(std::string(session->unread().data(), session->unread().size()));
  }

  void check_both_ways(std::string_view text) {
    server_->heard.clear();
    EXPECT_FALSE(server_->hear(client_->say(text)).failure);
    EXPECT_EQ(server_->heard == text, true) << text.size();
    EXPECT_EQ(client_->hear(server_->say(text)) == text, true) << text.size();
    EXPECT_EQ(client_->failure, 0);
  }

  std::unique_ptr<Client> client_;
  std::unique_ptr<End> server_;
};

std::string name_of_case(const ::testing::TestParamInfo<TakenOver::ParamType>& info) {
  const auto [suite, tickets, resumed] = info.param;
  return std::string(name_of(suite)) + "_" + std::to_string(tickets) + (resumed ? "_resumed" : "_full");
}

INSTANTIATE_TEST_SUITE_P(Everywhere, TakenOver,
                         ::testing::Combine(::testing::ValuesIn(kSuites), ::testing::Values(0, 1, 2),
                                            ::testing::Bool()),
                         name_of_case);

TEST_P(TakenOver, DataGoesBothWaysInEverySize) {
  connect();
  EXPECT_EQ(server_->say(""), "");
  for (const size_t bytes : kSizes) check_both_ways(pattern(bytes));
}

TEST_P(TakenOver, RecordsComeInAnyPieces) {
  connect();
  const std::string text = pattern(40'000), sealed = client_->say(text);
  for (size_t at = 0; at < sealed.size(); at += 977) {
    EXPECT_FALSE(server_->hear(std::string_view(sealed).substr(at, 977)).failure);
  }
  EXPECT_EQ(server_->heard == text, true);
  EXPECT_EQ(server_->unopened(), 0u);
  const std::string small = client_->say("byte by byte");
  server_->heard.clear();
  for (const char& byte : small) {
    EXPECT_EQ(server_->heard, "");
    EXPECT_EQ(RecordLayer::holds_record(std::span(small.data(), static_cast<size_t>(&byte - small.data()))), false);
    server_->hear({&byte, 1});
  }
  EXPECT_EQ(server_->heard, "byte by byte");
  EXPECT_TRUE(RecordLayer::holds_record(small));
}

TEST_P(TakenOver, WhatComesWithTheLastFlightIsNotLost) {
  const std::string first = pattern(20'000);
  connect(first);
  EXPECT_EQ(server_->heard == first, true);
  check_both_ways("and then");
}

TEST_P(TakenOver, KeysChangeWhenTheClientWants) {
  for (const bool asks : {false, true}) {
    connect();
    const auto answer = [&] {
      EXPECT_EQ(server_->protection.progress.owes_key_update, asks);
      EXPECT_EQ(server_->protection.progress.opened, 0u);
      return asks ? server_->say_key_update() : std::string();
    };
    EXPECT_FALSE(server_->hear(client_->say_key_update(asks)).failure);  // Before anything else.
    EXPECT_EQ(client_->hear(answer()), "");
    EXPECT_EQ(server_->protection.progress.owes_key_update, 0);
    check_both_ways("with the next keys");
    // In the middle of what comes and goes: records before and behind it open in one call.
    const std::string data = client_->say(pattern(17'000));
    const std::string behind = join({client_->say_key_update(asks), client_->say("behind")});
    const std::string said = server_->say("sealed before");
    server_->heard.clear();
    EXPECT_FALSE(server_->hear(data.substr(0, 9000)).failure);
    EXPECT_FALSE(server_->hear(data.substr(9000) + behind).failure);
    EXPECT_EQ(server_->heard == pattern(17'000) + "behind", true);
    EXPECT_EQ(server_->protection.progress.owes_key_update, asks);
    const std::string answered = asks ? server_->say_key_update() : std::string();
    EXPECT_EQ(client_->hear(said + answered + server_->say("sealed behind")), "sealed beforesealed behind");
    for (int i = 0; i < 40; ++i) {
      EXPECT_FALSE(server_->hear(client_->say_key_update(asks)).failure);
      EXPECT_EQ(client_->hear(answer()), "");
      check_both_ways("data between them: as many as there may be");
    }
  }
}

TEST_P(TakenOver, KeysChangeWhenTheServerWants) {
  connect();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client_->hear(join({server_->say("old"), server_->say_key_update(), server_->say("new")})), "oldnew");
    EXPECT_EQ(server_->protection.progress.sealed, 1u);
    check_both_ways("goes on");
  }
}

TEST_P(TakenOver, WhoeverHasTheStateGoesOn) {
  connect();
  for (const size_t bytes : kSizes) {
    server_->move();
    check_both_ways(pattern(bytes));
  }
  // Half a record is in other hands; what was asked for and not done yet is in the state.
  const std::string data = join({client_->say(pattern(30'000)), client_->say_key_update(true)});
  server_->heard.clear();
  for (size_t at = 0; at < data.size(); at += 5000) {
    EXPECT_FALSE(server_->hear(std::string_view(data).substr(at, 5000)).failure);
    server_->move();
  }
  EXPECT_EQ(server_->heard == pattern(30'000), true);
  ASSERT_EQ(server_->protection.progress.owes_key_update, 1);
  EXPECT_EQ(client_->hear(server_->say_key_update()), "");
  server_->move();
  check_both_ways("with keys of another generation");
  server_->hear(client_->say_close());
  server_->move();
  EXPECT_EQ(server_->protection.progress.received_close, 1);
  EXPECT_EQ(client_->hear(join({server_->say("still there"), server_->say_alert(Alert::CloseNotify)})), "still there");
  EXPECT_TRUE(client_->closed);
}

TEST_P(TakenOver, TheSameIsSealedTheSame) {
  connect();
  const std::string text = pattern(40'000);
  std::string once, again, elsewhere, key_update, key_update_again, alert, alert_again;
  RecordLayer other;
  ASSERT_TRUE(server_->layer().seal(server_->protection, text, once));
  ASSERT_TRUE(server_->layer().seal(server_->protection, text, again));
  ASSERT_TRUE(other.seal(server_->protection, text, elsewhere));
  EXPECT_EQ(once == again && once == elsewhere, true);
  ASSERT_TRUE(server_->layer().seal_key_update(server_->protection, key_update));
  ASSERT_TRUE(other.seal_key_update(server_->protection, key_update_again));
  EXPECT_EQ(key_update, key_update_again);
  ASSERT_TRUE(server_->layer().seal_alert(server_->protection, Alert::CloseNotify, alert));
  ASSERT_TRUE(other.seal_alert(server_->protection, Alert::CloseNotify, alert_again));
  EXPECT_EQ(alert, alert_again);
  EXPECT_EQ(client_->hear(server_->say(text)) == text, true);
  std::string counted;
  ASSERT_TRUE(server_->layer().seal(server_->protection, text, counted));
  EXPECT_EQ(counted == once, false);
}

TEST_P(TakenOver, EitherEndCloses) {
  connect();
  EXPECT_EQ(client_->hear(server_->say_alert(Alert::CloseNotify)), "");
  EXPECT_TRUE(client_->closed);
  const std::string said = client_->say("not done yet");  // Half a connection is open still.
  EXPECT_FALSE(server_->hear(said + client_->say_close()).failure);
  EXPECT_EQ(server_->heard, "not done yet");
  EXPECT_EQ(server_->protection.progress.received_close, 1);
}

TEST_P(TakenOver, FailuresAreToldAndUnderstood) {
  connect();
  std::string bad = client_->say("hello");
  bad.back() = static_cast<char>(bad.back() ^ 1);
  const Opened opened = server_->hear(bad);
  ASSERT_TRUE(opened.failure);
  EXPECT_EQ(*opened.failure, Alert::BadRecordMac);
  EXPECT_TRUE(opened.answer);
  EXPECT_EQ(client_->hear(server_->say_alert(*opened.failure)), "");
  EXPECT_EQ(client_->failure, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
}

TEST_P(TakenOver, WhatOpenSslComplainsAboutNeedsNoAnswer) {
  connect();
  std::string bad = server_->say("hello");
  bad.back() = static_cast<char>(bad.back() ^ 1);
  client_->hear(bad);
  EXPECT_NE(client_->failure, 0);
  const Opened opened = server_->hear(client_->take());
  ASSERT_TRUE(opened.failure);
  EXPECT_EQ(*opened.failure, Alert::BadRecordMac);
  EXPECT_FALSE(opened.answer);
}

// --- Who stays with OpenSSL.

struct Stay {
  const char* name;
  std::function<void(ServerSettings&)> server;
  std::function<void(SSL_CTX*)> client;
};

class Staying : public ::testing::TestWithParam<Stay> {};

TEST_P(Staying, IsNotTakenOverAndGoesOn) {
  const auto page = std::make_unique<TicketKeyPage>();
  page->rotate(1);
  Client client(Suite::Aes128GcmSha256, nullptr, GetParam().client);
  Server server(GetParam().server);
  const auto session = server.begin(client, *page);
  std::vector<char> into(64 << 10);
  session->receive(client.take(), into);
  ASSERT_EQ(session->state(), Session::State::Established);
  EXPECT_FALSE(session->take_over());
  client.put(session->wire.pending());
  session->wire.took(session->wire.pending().size());
  client.shake_hands();
  const size_t bytes = session->receive(client.say("hello"), into);
  EXPECT_EQ(std::string(into.data(), bytes), "hello");
  ASSERT_TRUE(session->send(pattern(10'000)));
  EXPECT_EQ(client.hear(session->wire.pending()) == pattern(10'000), true);
}

INSTANTIATE_TEST_SUITE_P(
    With, Staying,
    ::testing::Values(Stay{"tls12", [](ServerSettings& settings) { settings.protocols = kTls12; }, {}},
                      Stay{"not_movable", [](ServerSettings& settings) { settings.movable = false; }, {}},
                      Stay{"another_suite",
                           [](ServerSettings& settings) {
                             settings.commands = {{"Ciphersuites", "TLS_AES_128_CCM_SHA256"}};
                           },
                           [](SSL_CTX* context) { SSL_CTX_set_ciphersuites(context, "TLS_AES_128_CCM_SHA256"); }},
                      // RFC 6066 section 4: its records must be shorter than ours are.
                      Stay{"short_records", [](ServerSettings&) {},
                           [](SSL_CTX* context) {
                             SSL_CTX_set_tlsext_max_fragment_length(context, TLSEXT_max_fragment_length_512);
                           }}),
    [](const auto& of) { return std::string(of.param.name); });

// --- What must not be.

Protection invented(Suite suite) {
  Protection protection;
  protection.suite = suite;
  for (size_t i = 0; i < kSecretBytesMax; ++i) {
    protection.peer_secret[i] = static_cast<uint8_t>(i + 1);
    protection.own_secret[i] = static_cast<uint8_t>(2 * i + 1);
  }
  return protection;
}

constexpr uint8_t kData = RecordPeer::kApplicationData, kMessage = RecordPeer::kHandshake;

class Refusals : public ::testing::TestWithParam<Suite> {
 protected:
  std::string alert(uint8_t level, uint8_t which) {
    const char content[] = {static_cast<char>(level), static_cast<char>(which)};
    return peer_.seal(RecordPeer::kAlert, {content, sizeof content});
  }

  // Data in front of it is heard, and what is behind it is not.
  void refused(Alert alert, const std::string& bytes, bool answer = true) {
    const Opened opened = end_.hear(front_ + bytes + "behind");
    ASSERT_TRUE(opened.failure);
    EXPECT_EQ(static_cast<int>(*opened.failure), static_cast<int>(alert)) << opened.reason;
    EXPECT_EQ(opened.answer, answer);
    EXPECT_EQ(end_.heard, "in front of it");
  }

  void accepted(const std::string& bytes) {
    const Opened opened = end_.hear(front_ + bytes);
    EXPECT_FALSE(opened.failure) << opened.reason;
    EXPECT_EQ(end_.unopened(), 0u);
    EXPECT_EQ(end_.heard.substr(0, 14), "in front of it");
    end_.heard.erase(0, 14);
  }

  End end_{invented(GetParam())};
  RecordPeer peer_{GetParam(), end_.protection.peer_secret};
  const std::string front_ = peer_.seal(kData, "in front of it");
};

INSTANTIATE_TEST_SUITE_P(Each, Refusals, ::testing::ValuesIn(kSuites),
                         [](const auto& of) { return std::string(name_of(of.param)); });

TEST_P(Refusals, AnyBitThatIsNotAsItWas) {
  const std::string good = peer_.seal(kData, "hello");
  for (const size_t at : {size_t{1}, size_t{2}, size_t{5}, size_t{9}, size_t{10}, good.size() - 16, good.size() - 1}) {
    End end(invented(GetParam()));
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    const Opened opened = end.hear(front_ + bad);
    ASSERT_TRUE(opened.failure) << at;
    EXPECT_EQ(*opened.failure, Alert::BadRecordMac);
    EXPECT_EQ(end.heard, "in front of it");
  }
}

TEST_P(Refusals, NumbersAreCountedInAllTheirBytes) {
  accepted("");
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(end_.hear(peer_.seal(kData, ".")).failure) << i;
  end_ = End(invented(GetParam()));
  end_.protection.progress.opened = peer_.sequence = 0x0102030405060708;
  EXPECT_FALSE(end_.hear(peer_.seal(kData, "far away")).failure);
  EXPECT_EQ(end_.heard, "far away");
  EXPECT_EQ(end_.protection.progress.opened, peer_.sequence);
  RecordPeer own(GetParam(), end_.protection.own_secret);
  end_.protection.progress.sealed = own.sequence = 0x0807060504030201;
  EXPECT_EQ(end_.say("far away"), own.seal(kData, "far away"));
}

TEST_P(Refusals, ARecordTwiceOrTooSoon) {
  const std::string good = peer_.seal(kData, "hello");
  End end(invented(GetParam()));
  EXPECT_EQ(*end.hear(good).failure, Alert::BadRecordMac);
  refused(Alert::BadRecordMac, front_);
}

TEST_P(Refusals, RecordsThatAreNotProtected) {
  const std::string texts[] = {bytes_of("140303000101"), bytes_of("15030300020100"), bytes_of("16030300051800000100"),
                               bytes_of("80030300051800000100"), bytes_of("00000000000000000000")};
  for (const std::string& text : texts) {
    End end(invented(GetParam()));
    const Opened opened = end.hear(front_ + text);
    EXPECT_EQ(opened.failure, Alert::UnexpectedMessage) << to_hex(text);
    EXPECT_EQ(end.heard, "in front of it");
  }
  refused(Alert::UnexpectedMessage, peer_.seal_inner("hello\x17", RecordPeer::kHandshake));
}

TEST_P(Refusals, TooLong) {
  accepted(peer_.seal(kData, pattern(1 << 14)));
  EXPECT_EQ(end_.heard == pattern(1 << 14), true);
  End end(invented(GetParam()));
  EXPECT_FALSE(end.hear(front_ + bytes_of("1703034100")).failure) << "it is to be seen what is in it";
  end = End(invented(GetParam()));
  // Known by its head alone.
  EXPECT_EQ(end.hear(front_ + bytes_of("1703034101")).failure, Alert::RecordOverflow);
}

TEST_P(Refusals, TooMuchInside) {
  accepted(peer_.seal(kData, "x", (1 << 14) - 1));
  EXPECT_EQ(end_.heard, "x");
  for (const size_t padding : {size_t{1}, size_t{239}}) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    EXPECT_EQ(end.hear(peer.seal(kData, pattern(1 << 14), padding)).failure, Alert::RecordOverflow) << padding;
    EXPECT_EQ(end.heard, "");
  }
  End end(invented(GetParam()));
  RecordPeer peer(GetParam(), end.protection.peer_secret);
  EXPECT_EQ(end.hear(peer.seal(kData, "", (1 << 14) + 1)).failure, Alert::RecordOverflow);
}

TEST_P(Refusals, TooShort) {
  for (const size_t bytes : {0, 1, 15, 16}) {
    End end(invented(GetParam()));
    const std::string head = {23, 3, 3, 0, static_cast<char>(bytes)};
    EXPECT_EQ(end.hear(front_ + head + std::string(bytes, 'x')).failure, Alert::BadRecordMac) << bytes;
    EXPECT_EQ(end.heard, "in front of it");
  }
  refused(Alert::BadRecordMac, peer_.seal_inner(""));
}

TEST_P(Refusals, NothingButPadding) {
  for (const size_t bytes : {1, 2, 16'385}) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    EXPECT_EQ(end.hear(peer.seal_inner(std::string(bytes, '\0'))).failure, Alert::UnexpectedMessage) << bytes;
  }
}

TEST_P(Refusals, TypesThatAreNone) {
  for (const int type : {1, 19, 20, 24, 25, 255}) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    EXPECT_EQ(end.hear(peer.seal(static_cast<uint8_t>(type), "x")).failure, Alert::UnexpectedMessage) << type;
    EXPECT_EQ(end.heard, "");
  }
}

TEST_P(Refusals, PaddingIsNotHeard) {
  std::string bytes;
  for (const size_t padding : {0, 1, 17, 5000}) bytes += peer_.seal(kData, std::string("a\0", 2), padding);
  accepted(join({bytes, peer_.key_update(1, 300), peer_.seal(kData, "last", 9)}));
  EXPECT_EQ(end_.heard, std::string("a\0a\0a\0a\0last", 12));
}

TEST_P(Refusals, AFloodOfEmptyRecords) {
  std::string bytes;
  for (int i = 0; i < RecordLayer::kEmptyRecordsMax; ++i) bytes += peer_.seal(kData, "", static_cast<size_t>(i));
  bytes += peer_.seal(kData, ".");
  for (int i = 0; i < RecordLayer::kEmptyRecordsMax; ++i) bytes += peer_.seal(kData, "");
  accepted(bytes);
  EXPECT_EQ(end_.heard, ".");
  end_.move();  // They are counted wherever the connection goes.
  EXPECT_EQ(end_.hear(peer_.seal(kData, "")).failure, Alert::UnexpectedMessage);
}

TEST_P(Refusals, AFloodOfCancellations) {
  std::string bytes;
  for (int i = 0; i < RecordLayer::kEmptyRecordsMax; ++i) bytes += alert(1, 90);
  accepted(bytes);
  EXPECT_EQ(end_.hear(alert(1, 90)).failure, Alert::UnexpectedMessage);
}

TEST_P(Refusals, AFloodOfKeyUpdates) {
  std::string bytes;
  for (uint8_t i = 0; i < RecordLayer::kKeyUpdatesMax; ++i) bytes += peer_.key_update(i % 2);
  bytes += peer_.seal(kData, ".");
  for (uint8_t i = 0; i < RecordLayer::kKeyUpdatesMax; ++i) {
    bytes += peer_.key_update(i % 2);
    bytes += peer_.seal(kData, "");
  }
  accepted(bytes);
  EXPECT_EQ(end_.heard, ".");
  end_.move();
  EXPECT_EQ(end_.hear(peer_.key_update(0)).failure, Alert::UnexpectedMessage);
}

TEST_P(Refusals, HandshakeMessages) {
  struct Case {
    const char* bytes;
    Alert alert;
  };
  for (const auto& [bytes, alert] : std::initializer_list<Case>{
           {"1800000100 1700", Alert::UnexpectedMessage},            // Something behind it.
           {"1800000100 1800000100", Alert::UnexpectedMessage},      // Another one.
           {"1800000200 00", Alert::UnexpectedMessage},              // Of a wrong length, all there,
           {"1800000200", Alert::DecodeError},                       // or not.
           {"1800010000", Alert::DecodeError},
           {"1801000100", Alert::DecodeError},
           {"1800000000", Alert::DecodeError},
           {"1800000102", Alert::IllegalParameter},
           {"18000001ff", Alert::IllegalParameter},
           {"0400000100", Alert::UnexpectedMessage},                 // NewSessionTicket is for servers to say.
           {"0400001900 0000000000000000000000000000000000000000000000", Alert::UnexpectedMessage},
           {"0100000100", Alert::UnexpectedMessage},
           {"0b", Alert::UnexpectedMessage},
           {"1400002000", Alert::UnexpectedMessage},
           {"", Alert::UnexpectedMessage}}) {
    End end(invented(GetParam()));
    const Protection before = end.protection;
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    const Opened opened = end.hear(peer.seal(kMessage, bytes_of(bytes), 3));
    ASSERT_TRUE(opened.failure) << bytes;
    EXPECT_EQ(static_cast<int>(*opened.failure), static_cast<int>(alert)) << bytes;
    EXPECT_TRUE(opened.answer);
    EXPECT_EQ(memcmp(before.peer_secret, end.protection.peer_secret, sizeof before.peer_secret), 0) << bytes;
    EXPECT_EQ(end.protection.progress.owes_key_update, 0);
  }
}

TEST_P(Refusals, AKeyUpdateMayComeInPieces) {
  const std::string message = bytes_of("1800000101");
  for (unsigned cuts = 0; cuts < 16; ++cuts) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    std::string piece;
    for (size_t i = 0; i < message.size(); ++i) {
      piece += message[i];
      if (i + 1 < message.size() && (cuts >> i & 1) == 0) continue;
      EXPECT_FALSE(end.hear(peer.seal(kMessage, piece)).failure);
      end.move();
      piece.clear();
    }
    EXPECT_EQ(end.protection.progress.owes_key_update, 1);
    peer.advance();
    EXPECT_FALSE(end.hear(peer.seal(kData, "goes on")).failure);
    EXPECT_EQ(end.heard, "goes on");
  }
}

TEST_P(Refusals, AMessageThatIsCut) {
  const std::string piece = bytes_of("180000");
  const auto cut = [&](uint8_t type, std::string_view content) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    const std::string first = peer.seal(kMessage, piece);
    EXPECT_FALSE(end.hear(first).failure);
    end.move();
    const Opened opened = end.hear(peer.seal(type, content));
    EXPECT_EQ(end.heard, "");
    return opened.failure;
  };
  EXPECT_EQ(cut(kData, "x"), Alert::UnexpectedMessage);
  EXPECT_EQ(cut(kData, ""), Alert::UnexpectedMessage);
  EXPECT_EQ(cut(RecordPeer::kAlert, std::string("\x01\x00", 2)), Alert::UnexpectedMessage);
  EXPECT_EQ(cut(kMessage, ""), Alert::UnexpectedMessage);
  EXPECT_EQ(cut(kMessage, std::string("\x01\x00\x00", 3)), Alert::UnexpectedMessage);
}

TEST_P(Refusals, AlertsOfAWrongLength) {
  struct Case {
    const char* bytes;
    Alert alert;
  };
  for (const auto& [bytes, alert] : std::initializer_list<Case>{{"", Alert::UnexpectedMessage},  // Section 5.4
                                                                {"01", Alert::DecodeError},
                                                                {"010000", Alert::DecodeError},
                                                                {"01000100", Alert::DecodeError}}) {
    End end(invented(GetParam()));
    RecordPeer peer(GetParam(), end.protection.peer_secret);
    const Opened opened = end.hear(peer.seal(RecordPeer::kAlert, bytes_of(bytes), 2));
    ASSERT_TRUE(opened.failure);
    EXPECT_EQ(static_cast<int>(*opened.failure), static_cast<int>(alert)) << bytes;
    EXPECT_TRUE(opened.answer);
    EXPECT_EQ(end.protection.progress.received_close, 0);
  }
}

// Whatever level they tell (section 6).
TEST_P(Refusals, ThePeersAlertsAreNotAnswered) {
  for (const int level : {0, 1, 2}) {
    for (const int which : {10, 20, 22, 47, 50, 80, 100, 255}) {
      End end(invented(GetParam()));
      RecordPeer peer(GetParam(), end.protection.peer_secret);
      const char content[] = {static_cast<char>(level), static_cast<char>(which)};
      const Opened opened = end.hear(peer.seal(RecordPeer::kAlert, {content, sizeof content}));
      ASSERT_TRUE(opened.failure) << which;
      EXPECT_EQ(static_cast<int>(*opened.failure), which);
      EXPECT_FALSE(opened.answer);
    }
  }
}

TEST_P(Refusals, WhatIsBehindACloseNotifyIsIgnored) {
  const std::string close = alert(1, 0);
  accepted(close + peer_.seal(kData, "too late") + "and what is no record, \x17\x03");
  EXPECT_EQ(end_.heard, "");
  EXPECT_EQ(end_.protection.progress.received_close, 1);
  end_.move();
  const Opened opened = end_.hear("and more of it");
  EXPECT_FALSE(opened.failure);
  EXPECT_EQ(end_.unopened(), 0u);
  EXPECT_EQ(end_.hear("abc").used, 3u) << "less than a record's head, too";
}

TEST_P(Refusals, ACancellationMayComeBeforeTheEnd) {
  accepted(join({alert(1, 90), alert(2, 0)}));
  EXPECT_EQ(end_.protection.progress.received_close, 1);
}

}  // namespace
}  // namespace beamgate::tls
