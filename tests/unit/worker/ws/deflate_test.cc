// permessage-deflate payloads: the RFC's own examples, windows that are rebuilt from plaintext must give what
// windows that were kept give, and a bomb costs no more than the message limit.
#include "worker/ws/deflate.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "worker/record/journal.h"
#include "worker/ws/history.h"
#include "worker/ws/zlib_streams.h"

namespace beamgate::ws {
namespace {

using record::Arena;
using record::ConnId;
using record::Record;
using Outcome = Deflate::Outcome;

constexpr uint64_t kPlenty = 1 << 20;

std::string bytes(std::initializer_list<int> list) {
  std::string out;
  for (const int byte : list) out += static_cast<char>(byte);
  return out;
}

// A connection with these parameters; what it compresses can be read by another one.
class DeflatePeer {
 public:
  DeflatePeer(Arena& arena, uint32_t slot, DeflateParameters parameters = {}) : arena_(arena), id_{slot, 1} {
    store_parameters(parameters, record_.ws);
  }
  ~DeflatePeer() {
    arena_.release(record_.ws.sent_history);
    arena_.release(record_.ws.received_history);
  }

  std::string compress(Deflate& deflate, std::string_view text) {
    return std::string(deflate.compress(record_, id_, text, 6));
  }
  std::pair<Outcome, std::string> inflate(Deflate& deflate, std::string_view payload, uint64_t most = kPlenty) {
    const auto result = deflate.inflate(record_, id_, payload, most);
    return {result.outcome, std::string(result.message.begin(), result.message.end())};
  }
  std::string text(Deflate& deflate, std::string_view payload) {
    auto [outcome, message] = inflate(deflate, payload);
    EXPECT_EQ(outcome, Outcome::Done);
    return message;
  }
  Record& record() { return record_; }
  ConnId id() const { return id_; }

 private:
  Arena& arena_;
  Record record_;
  ConnId id_;
};

class DeflateTest : public ::testing::Test {
 protected:
  Arena arena_ = Arena::map({}, 8).value();
  Deflate deflate_{arena_};
};

// Section 7.2.3: one block, two messages with and without a shared window, no compression, BFINAL, two blocks.
TEST_F(DeflateTest, ExamplesOfTheRfc) {
  const std::string hello = bytes({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00});
  DeflatePeer peer(arena_, 0);
  EXPECT_EQ(peer.text(deflate_, hello), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0xf2, 0x00, 0x11, 0x00, 0x00})), "Hello");  // Refers to the first.
  EXPECT_EQ(peer.text(deflate_, hello), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00})), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00})), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00})), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0x00})), "");  // Section 7.2.3.6.

  DeflatePeer fresh(arena_, 1, {.client_no_takeover = true});
  EXPECT_EQ(fresh.text(deflate_, hello), "Hello");
  EXPECT_EQ(fresh.inflate(deflate_, bytes({0xf2, 0x00, 0x11, 0x00, 0x00})).first, Outcome::Corrupt);
}

TEST_F(DeflateTest, AWindowOutlivesAFinalBlock) {
  DeflatePeer peer(arena_, 0);
  EXPECT_EQ(peer.text(deflate_, bytes({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00})), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0xf2, 0x00, 0x11, 0x00, 0x00})), "Hello");
  // The same with the final block's end left out.
  EXPECT_EQ(peer.text(deflate_, bytes({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00})), "Hello");
  EXPECT_EQ(peer.text(deflate_, bytes({0xf2, 0x00, 0x11, 0x00, 0x00})), "Hello");
}

TEST_F(DeflateTest, FinalBlocksWithoutEndAreCorrupt) {
  const auto finals = [](int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += bytes({0x03, 0x00});
    return out;
  };
  DeflatePeer peer(arena_, 0);
  EXPECT_EQ(peer.inflate(deflate_, finals(Decompressor::kFinalBlocksMax)).first, Outcome::Done);
  EXPECT_EQ(peer.inflate(deflate_, finals(Decompressor::kFinalBlocksMax + 1)).first, Outcome::Corrupt);
}

TEST_F(DeflateTest, WhatIsNotDeflateIsCorrupt) {
  const std::string hello = bytes({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00});
  const std::string cases[] = {"not deflate", bytes({0xff}), bytes({0x06}), hello.substr(0, 3),
                               bytes({0x00, 0x05, 0x00, 0x00, 0x00}),
                               bytes({0x00, 0xff, 0x00, 0x00, 0xff, 0x41})};  // A stored block of which most is missing.
  for (const std::string& payload : cases) {
    for (const bool takeover : {false, true}) {
      DeflatePeer peer(arena_, 0, {.client_no_takeover = !takeover});
      EXPECT_EQ(peer.inflate(deflate_, payload).first, Outcome::Corrupt);
      deflate_.forget(peer.record(), peer.id());
    }
  }
  DeflatePeer peer(arena_, 0);
  EXPECT_EQ(peer.text(deflate_, hello), "Hello");
}

TEST_F(DeflateTest, TheLimitIsExactAndABombStopsThere) {
  for (const bool takeover : {false, true}) {
    DeflatePeer sender(arena_, 0, {.server_no_takeover = !takeover});
    const std::string ten_million(10'000'000, 'x');
    const std::string bomb = sender.compress(deflate_, ten_million);
    EXPECT_LT(bomb.size(), 60000u);
    for (const uint64_t most : {uint64_t{1}, uint64_t{65536}, uint64_t{9'999'999}}) {
      DeflatePeer receiver(arena_, 1, {.client_no_takeover = !takeover});
      EXPECT_EQ(receiver.inflate(deflate_, bomb, most).first, Outcome::TooBig);
      deflate_.forget(receiver.record(), receiver.id());
    }
    DeflatePeer receiver(arena_, 1, {.client_no_takeover = !takeover});
    EXPECT_EQ(receiver.inflate(deflate_, bomb, 10'000'000).second, ten_million);
    deflate_.forget(receiver.record(), receiver.id());
    deflate_.forget(sender.record(), sender.id());
  }
}

std::string random_text(std::minstd_rand& random) {
  static const char* const words[] = {"alpha ", "beta ", "gamma ", "{\"type\":\"message\"} ", "0123456789 ", "\xc3\xa4 "};
  std::string out;
  for (size_t count = 1 + random() % 300; count > 0; --count) out += words[random() % 6];
  if (random() % 4 == 0) {
    for (char& c : out) c = static_cast<char>(random());  // Nothing to gain.
  }
  return out;
}

// Two connections talk while both sides' streams are thrown away at random: what is rebuilt from the windows
// in the arena must go on where the other left off, for every window size.
TEST_F(DeflateTest, RebuiltStreamsGoOnWhereTheOthersStopped) {
  std::minstd_rand random(7);
  for (uint8_t bits = 9; bits <= 15; ++bits) {
    const DeflateParameters parameters{.server_window_bits = bits, .client_window_bits = bits};
    DeflatePeer sender(arena_, 0, parameters);
    DeflatePeer receiver(arena_, 1, parameters);
    auto sending = std::make_unique<Deflate>(arena_);
    auto receiving = std::make_unique<Deflate>(arena_);
    for (int round = 0; round < 200; ++round) {
      if (random() % 5 == 0) sending = std::make_unique<Deflate>(arena_);
      if (random() % 5 == 0) receiving = std::make_unique<Deflate>(arena_);
      const std::string text = random_text(random);
      ASSERT_EQ(receiver.text(*receiving, sender.compress(*sending, text)), text) << int{bits} << " " << round;
    }
  }
}

// More connections than cached streams: those that lose theirs must not notice.
TEST_F(DeflateTest, MoreConnectionsThanStreams) {
  std::minstd_rand random(9);
  Deflate other(arena_);
  std::vector<std::unique_ptr<DeflatePeer>> senders, receivers;
  for (uint32_t i = 0; i < 2 * Deflate::kCachedStreams; ++i) {
    senders.push_back(std::make_unique<DeflatePeer>(arena_, i, DeflateParameters{.server_window_bits = 10}));
    receivers.push_back(std::make_unique<DeflatePeer>(arena_, i, DeflateParameters{.client_window_bits = 10}));
  }
  for (int round = 0; round < 1000; ++round) {
    const size_t i = random() % senders.size();
    const std::string text = random_text(random);
    ASSERT_EQ(receivers[i]->text(other, senders[i]->compress(deflate_, text)), text);
  }
}

TEST_F(DeflateTest, TakeoverMakesTheSecondMessageSmaller) {
  const std::string text = "{\"type\":\"message\",\"room\":\"lobby\",\"from\":\"ada\",\"text\":\"good morning everybody\"}";
  DeflatePeer with(arena_, 0);
  const size_t first = with.compress(deflate_, text).size();
  EXPECT_LT(with.compress(deflate_, text).size(), first / 3);
  DeflatePeer without(arena_, 1, {.server_no_takeover = true});
  EXPECT_EQ(without.compress(deflate_, text).size(), first);
  EXPECT_EQ(without.compress(deflate_, text).size(), first);
  EXPECT_EQ(without.record().ws.sent_history, record::kNull);
}

TEST_F(DeflateTest, WhatGainsNothingGoesUncompressed) {
  DeflatePeer peer(arena_, 0, {.server_no_takeover = true});
  EXPECT_EQ(peer.compress(deflate_, ""), "");
  EXPECT_EQ(peer.compress(deflate_, "a"), "");
  EXPECT_EQ(peer.compress(deflate_, "0a9s8d7f6g5h4"), "");
  EXPECT_NE(peer.compress(deflate_, std::string(100, 'a')), "");
}

TEST_F(DeflateTest, SharedFramesReachThoseWithoutTakeoverAndWithWindowEnough) {
  DeflatePeer plain(arena_, 0);
  plain.record().ws.deflate_flags = 0;
  EXPECT_FALSE(Deflate::takes_shared(plain.record()));
  EXPECT_FALSE(Deflate::takes_shared(DeflatePeer(arena_, 1).record()));
  EXPECT_FALSE(Deflate::takes_shared(DeflatePeer(arena_, 2, {.server_window_bits = 11, .server_no_takeover = true}).record()));
  EXPECT_TRUE(Deflate::takes_shared(DeflatePeer(arena_, 3, {.server_window_bits = 12, .server_no_takeover = true}).record()));
  const std::string text(3000, 'q');
  DeflatePeer reader(arena_, 4, {.client_window_bits = Deflate::kSharedWindowBits, .client_no_takeover = true});
  EXPECT_EQ(reader.text(deflate_, deflate_.compress_shared(text, 1)), text);
}

TEST_F(DeflateTest, ForgettingGivesTheWindowsBack) {
  DeflatePeer peer(arena_, 0);
  const std::string payload = peer.compress(deflate_, std::string(5000, 'a'));
  EXPECT_EQ(peer.text(deflate_, payload), std::string(5000, 'a'));
  EXPECT_GE(arena_.bytes_live(), 10000u);
  deflate_.forget(peer.record(), peer.id());
  EXPECT_EQ(arena_.bytes_live(), 0u);
}

TEST_F(DeflateTest, MutatedPayloadsNeverGetOut) {
  std::minstd_rand random(11);
  DeflatePeer sender(arena_, 0, {.server_no_takeover = true});
  for (int round = 0; round < 3000; ++round) {
    std::string payload = sender.compress(deflate_, random_text(random) + std::string(50, 'a'));
    if (payload.empty()) continue;
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      payload[random() % payload.size()] ^= static_cast<char>(1 << random() % 8);
    }
    if (random() % 4 == 0) payload.resize(random() % payload.size());
    const auto slot = static_cast<uint32_t>(1 + random() % 3);
    DeflatePeer receiver(arena_, slot, {.client_no_takeover = random() % 2 == 0});
    const auto [outcome, message] = receiver.inflate(deflate_, payload, 20000);
    EXPECT_LE(message.size(), 20001u);
    deflate_.forget(receiver.record(), receiver.id());
  }
}

TEST(History, KeepsTheLastBytesAtEverySize) {
  Arena arena = Arena::map({}, 1).value();
  std::minstd_rand random(3);
  for (const size_t largest : {10, 600, 2000}) {
    record::Ref ref = record::kNull;
    History history(arena, ref, 9);
    std::string all;
    for (int round = 0; round < 200; ++round) {
      std::string piece;
      for (size_t size = random() % largest; size > 0; --size) piece += static_cast<char>(random());
      ASSERT_TRUE(history.reserve(piece.size()));
      history.append(piece);
      all += piece;
      const std::string expected = all.size() > 512 ? all.substr(all.size() - 512) : all;
      std::string window(history.size(), '\0');
      ASSERT_EQ(history.copy_to(window), expected.size());
      ASSERT_EQ(window, expected);
    }
    arena.release(ref);
  }
  EXPECT_EQ(arena.bytes_live(), 0u);
}

// As a successor finds it, whatever size the texts of the open step had.
TEST(History, AStepThatIsTakenBackLeavesTheWindow) {
  const UniqueFd file(memfd_create("arena", MFD_CLOEXEC));
  Arena arena = Arena::map(UniqueFd(dup(file.get())), 1).value();
  std::minstd_rand random(5);
  const auto text = [&random](size_t most) {
    std::string out(random() % most, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
  };
  record::Ref ref = record::kNull;
  History history(arena, ref, 9);
  const auto window = [&history] {
    std::string out(history.size(), '\0');
    history.copy_to(out);
    return out;
  };
  {
    const record::Step step(arena);
    ASSERT_TRUE(history.reserve(512));
    history.append(text(700));
  }
  for (int round = 0; round < 300; ++round) {
    const std::string before = window();
    const record::Step step(arena);
    for (size_t texts = 1 + random() % 3; texts > 0; --texts) history.append(text(round % 2 == 0 ? 200 : 2'000));
    if (round % 3 == 0) continue;  // It stays.
    Arena after = Arena::open(UniqueFd(dup(file.get()))).value();
    std::vector<uint32_t> slots;
    ASSERT_TRUE(after.undo(slots));
    ASSERT_EQ(window(), before) << round;
  }
  arena.release(ref);
}

}  // namespace
}  // namespace beamgate::ws
