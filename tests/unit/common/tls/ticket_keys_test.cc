// Shows how ticket keys come: from files in nginx's two forms, and from a page that the master rotates.
#include "common/tls/ticket_keys.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace beamgate::tls {
namespace {

std::string counted(size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(i);
  return out;
}

TEST(TicketKey, TheLongFormHasTheKeyOfTheMacFirst) {
  const auto key = parse_ticket_key(counted(80));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->bytes, 32u);
  EXPECT_EQ(key->name[0], 0);
  EXPECT_EQ(key->mac[0], 16);
  EXPECT_EQ(key->cipher[0], 48);
  EXPECT_EQ(key->cipher[31], 79);
}

TEST(TicketKey, TheShortFormHasTheKeyOfTheCipherFirst) {
  const auto key = parse_ticket_key(counted(48));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->bytes, 16u);
  EXPECT_EQ(key->cipher[0], 16);
  EXPECT_EQ(key->mac[0], 32);
  EXPECT_EQ(key->mac[15], 47);
}

TEST(TicketKey, OtherLengthsAreNone) {
  for (const size_t bytes : {0, 47, 49, 64, 79, 81}) EXPECT_FALSE(parse_ticket_key(counted(bytes)).has_value());
}

std::string name_of(const TicketKey& key) { return std::string(reinterpret_cast<const char*>(key.name), 16); }

TEST(TicketKeyPage, RotatesInTimeAndKeepsTheLast) {
  const auto page = std::make_unique<TicketKeyPage>();
  EXPECT_TRUE(page->keys().empty());
  int64_t now = 1'000'000;
  EXPECT_TRUE(page->rotate(now));
  EXPECT_FALSE(page->rotate(now + TicketKeyPage::kRotationMs - 1));
  const std::string first = name_of(page->keys().front());
  std::set<std::string> names{first};
  for (size_t i = 1; i < TicketKeyPage::kKeys; ++i) {
    EXPECT_TRUE(page->rotate(now += TicketKeyPage::kRotationMs));
    EXPECT_EQ(page->keys().size(), i + 1);
    EXPECT_EQ(name_of(page->keys().back()), first);
    names.insert(name_of(page->keys().front()));
  }
  EXPECT_EQ(names.size(), TicketKeyPage::kKeys);
  EXPECT_TRUE(page->rotate(now += TicketKeyPage::kRotationMs));
  EXPECT_EQ(page->keys().size(), TicketKeyPage::kKeys);
  for (const TicketKey& key : page->keys()) EXPECT_NE(name_of(key), first);
}

TEST(TicketKeyPage, AClockThatIsPutBackMakesANewKey) {
  const auto page = std::make_unique<TicketKeyPage>();
  EXPECT_TRUE(page->rotate(10 * TicketKeyPage::kRotationMs));
  EXPECT_TRUE(page->rotate(5));
  EXPECT_FALSE(page->rotate(6));
}

// The first word of the page is odd while it is written.
TEST(TicketKeyPage, AWriterThatDiedLeavesNoKeysAndTheNextOneMakesThem) {
  const auto page = std::make_unique<TicketKeyPage>();
  ASSERT_TRUE(page->rotate(1));
  ASSERT_TRUE(page->rotate(1 + TicketKeyPage::kRotationMs));
  const std::string before = name_of(page->keys().front());
  auto& sequence = *reinterpret_cast<std::atomic<uint32_t>*>(page.get());
  EXPECT_EQ(sequence.load(), 4u);
  sequence = 5;
  EXPECT_TRUE(page->keys().empty()) << "and it doesn't wait for ever";
  EXPECT_TRUE(page->rotate(2 + TicketKeyPage::kRotationMs)) << "whatever its age";
  EXPECT_EQ(sequence.load(), 6u);
  ASSERT_EQ(page->keys().size(), 1u);
  EXPECT_NE(name_of(page->keys().front()), before);
  EXPECT_FALSE(page->rotate(3 + TicketKeyPage::kRotationMs));
}

TEST(TicketKeyPage, AReaderSeesWholeKeysWhileTheyRotate) {
  const auto page = std::make_unique<TicketKeyPage>();
  page->rotate(1);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int64_t i = 1; i <= 2'000; ++i) page->rotate(1 + i * TicketKeyPage::kRotationMs);
    done = true;
  });
  while (!done) {
    std::set<std::string> names;
    const std::vector<TicketKey> keys = page->keys();
    for (const TicketKey& key : keys) {
      names.insert(name_of(key));
      EXPECT_EQ(key.bytes, 32u);
    }
    EXPECT_EQ(names.size(), keys.size()) << "one of them is there twice";
  }
  writer.join();
  EXPECT_EQ(page->keys().size(), TicketKeyPage::kKeys);
}

}  // namespace
}  // namespace beamgate::tls
