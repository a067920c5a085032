// The wire format of moving connections: what version 1.0 wrote is read for ever, and whatever else comes, damaged
// or from a later build, is refused without harm and as narrowly as can be.
#include "worker/move/record_tlv.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>

#include "common/base/bytes.h"
#include "common/base/crc32c.h"

namespace beamgate::move {
namespace {

using record::Phase;
using record::Protocol;
using record::Record;

constexpr uint64_t kBuild = 0x1122334455667788;
constexpr size_t kHead = 32, kConnectionHead = 24;

Image idle_http() {
  Image image;
  Record& fields = image.fields;
  fields.phase = Phase::Http;
  fields.uid = 0x0001000002abcdef;
  fields.so_cookie = 42;
  fields.peer_family = AF_INET;
  fields.peer_port = 50123;
  fields.peer_address[0] = 127;
  fields.peer_address[3] = 1;
  fields.accepted_ms = 1'764'358'000'123;
  fields.listen_id = 7;
  fields.outbound_limit = 16 << 20;
  fields.keepalive_count = 3;
  image.last_received_ms = 98'765;
  image.carry = "GET / HT";
  return image;
}

Image busy_websocket() {
  Image image = idle_http();
  Record& fields = image.fields;
  fields.uid = 0x0002000003000001;
  fields.phase = Phase::WebSocket;
  fields.protocol = Protocol::Raw;
  fields.flags = record::kFlagPeerClosed;
  fields.pauses = record::kPauseWebhook;
  fields.location_id = 99;
  fields.hook_sequence = 12;
  fields.outbound_offset = 3;
  fields.bytes_received = uint64_t{1} << 40;
  fields.bytes_sent = 77;
  fields.messages_received = 5;
  fields.messages_sent = 6;
  fields.ws.payload_remaining = 1000;
  store_le(fields.ws.mask, uint32_t{0x04030201});
  fields.ws.frame_flags = 1;
  fields.ws.message_opcode = 1;
  fields.ws.utf8_state = 1;
  fields.ws.deflate_flags = 1;
  fields.ws.deflate_window_bits = 0xcf;
  fields.ws.close = record::CloseState::SentClose;
  fields.ws.close_code = 4001;
  image.descriptor = 1;
  image.deadline_ms = 123'456;
  image.carry = {};
  image.message = "half a mess";
  image.user = "ann";
  image.app_state = "{\"n\":1}";
  image.handshake = "room\nx-a: b\r\n";
  image.sent_history = "what was said";
  image.received_history = "what was heard";
  image.outbound = {"abcdef", "ghi"};
  image.hooks = {{false, 11, "first"}, {true, 12, std::string_view("\0\1", 2)}};
  image.subscriptions = {{"room", "epoch1", 7}, {"r\xc3\xa4um", "epoch2", 0}};
  return image;
}

// What version 1.1 has beside that of 1.0.
Image announced_http() {
  Image image = idle_http();
  image.extras.announced.present = 1;
  image.extras.announced.peer = {.family = AF_UNIX};
  image.extras.announced.source = {.family = AF_INET6, .port = 4711, .address = {0x20, 1, 0x0d, 0xb8, 0, 7}};
  image.extras.announced.destination = {.family = AF_INET, .port = 443, .address = {192, 0, 2, 1}};
  image.extras.counts = 2;
  image.extras.counted[0].key = 0x1122334455667788;
  image.extras.counted[1].key = 1;
  return image;
}

// What version 1.2 has beside that of 1.1.
Image told_websocket() {
  Image image = busy_websocket();
  image.subscriptions[0].presence = 0;
  image.subscriptions[1].presence = 1'000;
  image.subscriptions[1].note = "what else";
  return image;
}

// What version 1.3 has beside that of 1.2.
Image secured_websocket() {
  Image image = told_websocket();
  record::TlsState& tls = image.tls.emplace();
  tls.protection.suite = tls::Suite::Aes256GcmSha384;
  tls.protection.progress = {.opened = 7, .sealed = uint64_t{1} << 33, .owes_key_update = 1, .empty_records = 2,
                             .key_updates = 3, .fragment_bytes = 2, .fragment = {24, 0}};
  for (size_t i = 0; i < tls::kSecretBytesMax; ++i) {
    tls.protection.peer_secret[i] = static_cast<uint8_t>(i);
    tls.protection.own_secret[i] = static_cast<uint8_t>(100 + i);
  }
  tls.batch = record::TlsBatch::Queue;
  tls.batch_bytes = 6;
  tls.batch_sent = 5;
  image.tls_carry = "\x17\x03\x03\x01";
  image.negotiated = "what was agreed on";
  return image;
}

std::string batch_of(const std::vector<Image>& images) {
  BatchWriter writer(5, kBuild);
  for (const Image& image : images) writer.add(image);
  return writer.finish();
}

// With the checksum that belongs to it, so that what is behind it is tried too.
std::string sealed(std::string bytes) {
  if (bytes.size() < kHead) return bytes;
  store_le(bytes.data() + 28, uint32_t{0});
  store_le(bytes.data() + 28, crc32c(bytes));
  return bytes;
}
std::string resized(std::string bytes) {
  if (bytes.size() >= kHead) store_le(bytes.data() + 24, static_cast<uint32_t>(bytes.size()));
  return sealed(std::move(bytes));
}
// One connection with an item more.
std::string with_item(uint16_t type, std::string_view value) {
  std::string bytes = batch_of({busy_websocket(), idle_http()});
  const size_t length_at = kHead + kConnectionHead - sizeof(uint32_t);
  const auto length = load_le<uint32_t>(bytes.data() + length_at);
  std::string item(6, '\0');
  store_le(item.data(), type);
  store_le(item.data() + 2, static_cast<uint32_t>(value.size()));
  item += value;
  bytes.insert(kHead + kConnectionHead + length, item);
  store_le(bytes.data() + length_at, static_cast<uint32_t>(length + item.size()));
  return resized(bytes);
}

std::string bytes_of(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

void expect_same(const Image& a, const Image& b) {
  EXPECT_EQ(batch_of({a}), batch_of({b}));
  EXPECT_EQ(a.fields.outbound_offset, b.fields.outbound_offset);
  EXPECT_EQ(a.fields.ws.close, b.fields.ws.close);
  EXPECT_EQ(a.subscriptions.size(), b.subscriptions.size());
  EXPECT_EQ(a.hooks.size(), b.hooks.size());
  EXPECT_EQ(a.received_history, b.received_history);
}

TEST(RecordTlvTest, WhatIsWrittenIsRead) {
  const std::string bytes = batch_of({idle_http(), busy_websocket()});
  const auto batch = read_batch(bytes);
  ASSERT_TRUE(batch.ok()) << batch.error().text;
  EXPECT_EQ(batch.value().number, 5u);
  EXPECT_EQ(batch.value().build, kBuild);
  ASSERT_EQ(batch.value().connections.size(), 2u);
  for (const Received& received : batch.value().connections) EXPECT_EQ(received.refusal, nullptr) << received.refusal;
  expect_same(batch.value().connections[0].image, idle_http());
  expect_same(batch.value().connections[1].image, busy_websocket());
}

// Written by the first build that could.  A change here breaks upgrades: add a file for a new version instead.
TEST(RecordTlvTest, Version10IsReadForEver) {
  const std::string hex =
#include "tests/unit/worker/move/golden/batch_1_0.inc"
      ;
  const std::string golden = bytes_of(hex);
  const auto batch = read_batch(golden);
  ASSERT_TRUE(batch.ok()) << batch.error().text;
  ASSERT_EQ(batch.value().connections.size(), 2u);
  EXPECT_EQ(batch.value().connections[1].refusal, nullptr);
  expect_same(batch.value().connections[0].image, idle_http());
  expect_same(batch.value().connections[1].image, busy_websocket());
}

TEST(RecordTlvTest, Version11IsReadForEver) {
  const std::string hex =
#include "tests/unit/worker/move/golden/batch_1_1.inc"
      ;
  const std::string golden = bytes_of(hex);
  const auto batch = read_batch(golden);
  ASSERT_TRUE(batch.ok()) << batch.error().text;
  ASSERT_EQ(batch.value().connections.size(), 2u);
  expect_same(batch.value().connections[0].image, announced_http());
  EXPECT_EQ(batch.value().connections[0].image.extras.counts, 2u);
  EXPECT_EQ(batch.value().connections[0].image.extras.announced.source.port, 4711);
  expect_same(batch.value().connections[1].image, busy_websocket());
  EXPECT_EQ(batch.value().connections[1].image.subscriptions[0].presence, std::nullopt) << "it doesn't say";
}

TEST(RecordTlvTest, Version12IsReadForEver) {
  const std::string hex =
#include "tests/unit/worker/move/golden/batch_1_2.inc"
      ;
  const std::string golden = bytes_of(hex);
  const auto batch = read_batch(golden);
  ASSERT_TRUE(batch.ok()) << batch.error().text;
  ASSERT_EQ(batch.value().connections.size(), 2u);
  const Image& image = batch.value().connections[1].image;
  expect_same(image, told_websocket());
  EXPECT_EQ(image.subscriptions[0].presence, 0u);
  EXPECT_EQ(image.subscriptions[1].presence, 1'000u);
  EXPECT_EQ(image.subscriptions[1].note, "what else");
}

TEST(RecordTlvTest, Version13IsReadForEver) {
  const std::string bytes = batch_of({announced_http(), secured_websocket()});
  const std::string hex =
#include "tests/unit/worker/move/golden/batch_1_3.inc"
      ;
  EXPECT_EQ(to_hex(bytes), hex) << "as long as this build writes 1.3";
  const std::string golden = bytes_of(hex);
  const auto batch = read_batch(golden);
  ASSERT_TRUE(batch.ok()) << batch.error().text;
  ASSERT_EQ(batch.value().connections.size(), 2u);
  EXPECT_EQ(batch.value().connections[1].refusal, nullptr);
  const Image& image = batch.value().connections[1].image;
  expect_same(image, secured_websocket());
  ASSERT_TRUE(image.tls.has_value());
  EXPECT_EQ(image.tls->protection.suite, tls::Suite::Aes256GcmSha384);
  EXPECT_EQ(image.tls->protection.progress.sealed, uint64_t{1} << 33);
  EXPECT_EQ(image.tls->protection.progress.fragment[0], 24);
  EXPECT_EQ(image.tls->protection.own_secret[47], 147);
  EXPECT_EQ(image.tls->batch_bytes, 6u);
  EXPECT_EQ(image.tls->batch_sent, 5u);
  EXPECT_EQ(image.tls_carry, std::string_view("\x17\x03\x03\x01"));
  EXPECT_EQ(image.negotiated, "what was agreed on");
}

TEST(RecordTlvTest, TlsThatMakesNoSenseIsRefused) {
  const auto refused = [](auto&& change) {
    Image image = secured_websocket();
    change(*image.tls);
    const std::string bytes = batch_of({image});
    return read_batch(bytes).value().connections[0].refusal != nullptr;
  };
  EXPECT_FALSE(refused([](record::TlsState&) {}));
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.protection.suite = static_cast<tls::Suite>(0x1304); }));
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.batch = record::TlsBatch::Through; }));
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.batch = static_cast<record::TlsBatch>(9); }));
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.batch_bytes = 7; })) << "more than is queued";
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.batch_sent = 6 + 22; })) << "all of it";
  EXPECT_TRUE(refused([](record::TlsState& tls) { tls.protection.progress.fragment_bytes = 5; }));
}

TEST(RecordTlvTest, AConnectionCountsForNoMoreKeysThanItCan) {
  Image image = announced_http();
  image.extras.counts = record::Extras::kCountsMax;
  EXPECT_EQ(read_batch(batch_of({image})).value().connections[0].refusal, nullptr);
  image.extras.counts = 7;
  std::string bytes = batch_of({image});
  EXPECT_EQ(read_batch(bytes).value().connections[0].refusal, nullptr);
  std::string item("\x11\x00\x08\x00\x00\x00", 6);
  item += std::string(8, 'k') + item + std::string(8, 'k');
  const size_t length_at = kHead + kConnectionHead - sizeof(uint32_t);
  store_le(bytes.data() + length_at, static_cast<uint32_t>(load_le<uint32_t>(bytes.data() + length_at) + item.size()));
  EXPECT_NE(read_batch(resized(bytes + item)).value().connections[0].refusal, nullptr) << "nine of them";
}

TEST(RecordTlvTest, UnknownItemsAreSkippedUnlessTheyAreCritical) {
  const std::string skipped = with_item(0x0abc, "news from the future");
  const auto with = read_batch(skipped);
  ASSERT_TRUE(with.ok()) << with.error().text;
  EXPECT_EQ(with.value().connections[0].refusal, nullptr);
  expect_same(with.value().connections[0].image, busy_websocket());

  const std::string critical = with_item(0x8abc, "");
  const auto without = read_batch(critical);
  ASSERT_TRUE(without.ok());
  EXPECT_NE(without.value().connections[0].refusal, nullptr);
  EXPECT_EQ(without.value().connections[1].refusal, nullptr) << "only the connection that has it";
}

TEST(RecordTlvTest, ValuesThatCodeReliesOnAreChecked) {
  const std::vector<std::function<void(Image&)>> wrong = {
      [](Image& image) { image.fields.phase = Phase::Closing; },
      [](Image& image) { image.fields.phase = Phase::Free; },
      [](Image& image) { image.fields.phase = Phase::Http; },
      [](Image& image) { image.fields.protocol = Protocol::None; },
      [](Image& image) { image.fields.protocol = static_cast<Protocol>(9); },
      [](Image& image) { image.fields.flags = record::kFlagDirty; },
      [](Image& image) { image.fields.pauses = record::kPauseBus; },
      [](Image& image) { image.fields.outbound_offset = 6; },
      [](Image& image) { image.outbound[1] = ""; },
      [](Image& image) { image.fields.peer_family = 200; },
      [](Image& image) { image.fields.uid = 0; },
      [](Image& image) { image.fields.ws.message_opcode = 3; },
      [](Image& image) { image.fields.ws.message_opcode = 0; },
      [](Image& image) { image.fields.ws.utf8_state = 200; },
      [](Image& image) { image.fields.ws.close = static_cast<record::CloseState>(4); },
      [](Image& image) { image.fields.ws.payload_remaining = UINT64_MAX; },
      [](Image& image) { image.fields.ws.deflate_flags = 2; },
      [](Image& image) { image.fields.ws.deflate_flags = 0; },
      [](Image& image) { image.fields.ws.deflate_window_bits = 0x77; },
      [](Image& image) { image.received_history.assign((1 << 12) + 1, 'x'); },
      [](Image& image) { image.subscriptions[0].channel = ""; },
      [](Image& image) { image.subscriptions[0].channel = "a\nb"; },
      [](Image& image) { image.subscriptions.resize(1025, image.subscriptions[0]); },
      [](Image& image) { image.deadline_ms = -1; },
      [](Image& image) {
        static const std::string kMore(record::Arena::kLandingBytes / 2, 'x');
        image.carry = kMore;
      },
  };
  for (size_t i = 0; i < wrong.size(); ++i) {
    Image image = busy_websocket();
    wrong[i](image);
    const std::string bytes = batch_of({image, idle_http()});
    const auto batch = read_batch(bytes);
    ASSERT_TRUE(batch.ok()) << i;
    EXPECT_NE(batch.value().connections[0].refusal, nullptr) << i;
    EXPECT_EQ(batch.value().connections[1].refusal, nullptr) << i;
  }
}

TEST(RecordTlvTest, TheMostThatCanBeCarriedIsTaken) {
  const std::string most(record::Arena::kLandingBytes / 2 - 1, 'x');
  Image image = busy_websocket();
  image.carry = most;
  EXPECT_EQ(read_batch(batch_of({image})).value().connections[0].refusal, nullptr);
}

// Clients of channels that are no WebSockets: their phase says their protocol, and they hold nothing of a WebSocket.
TEST(RecordTlvTest, OtherClientsOfChannelsAreReadToo) {
  const std::pair<Phase, Protocol> kinds[] = {{Phase::EventStream, Protocol::EventStream},
                                              {Phase::Line, Protocol::Line},
                                              {Phase::LongPoll, Protocol::LongPoll}};
  for (const auto& [phase, protocol] : kinds) {
    Image image = idle_http();
    image.fields.phase = phase;
    image.fields.protocol = protocol;
    image.fields.pauses = record::kPauseLayer;
    image.handshake = "what is answered";
    image.subscriptions = {{"room", "epoch1", 7}};
    const std::string bytes = batch_of({image});
    const auto batch = read_batch(bytes);
    EXPECT_EQ(batch.value().connections[0].refusal, nullptr) << batch.value().connections[0].refusal;
    expect_same(batch.value().connections[0].image, image);
    Image other = image;
    other.fields.protocol = Protocol::Raw;
    EXPECT_NE(read_batch(batch_of({other})).value().connections[0].refusal, nullptr);
    other = image;
    other.message = "half";
    EXPECT_NE(read_batch(batch_of({other})).value().connections[0].refusal, nullptr);
  }
}

TEST(RecordTlvTest, EveryDamagedByteAndEveryCutIsNoticed) {
  const std::string good = batch_of({idle_http(), busy_websocket()});
  for (size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    // The minor may differ: a later one is readable, but the checksum still tells.
    EXPECT_FALSE(read_batch(damaged).ok()) << i;
    EXPECT_FALSE(read_batch(std::string_view(good).substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(read_batch(good + "x").ok());
}

// As above with checksums (and sizes) that fit: nothing may crash or be read outside, and what is accepted is sound.
TEST(RecordTlvTest, NoSealedDamageDoesHarm) {
  const std::string good = batch_of({idle_http(), busy_websocket()});
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x10, 0x80, 0xff}) {
      std::string damaged = good;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const std::string bytes = sealed(damaged);
      const auto batch = read_batch(bytes);
      if (!batch.ok()) continue;
      for (const Received& received : batch.value().connections) {
        if (received.refusal == nullptr) static_cast<void>(batch_of({received.image}));
      }
    }
    const std::string cut = resized(good.substr(0, i));
    static_cast<void>(read_batch(cut));
  }
}

TEST(RecordTlvTest, AnotherMajorIsRefusedWhole) {
  std::string bytes = batch_of({idle_http()});
  bytes[4] = 2;
  EXPECT_FALSE(read_batch(sealed(bytes)).ok());
  bytes[4] = 1;
  bytes[6] = 9;  // A later minor is readable.
  const std::string later = sealed(bytes);
  EXPECT_TRUE(read_batch(later).ok());
}

TEST(RecordTlvTest, TheChecksumIsTheOneOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
}

}  // namespace
}  // namespace beamgate::move
