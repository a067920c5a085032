// Shows how ticket keys come: from files in nginx's two forms, and from a page that the master rotates.
#include "common/tls/ticket_keys.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>

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

}  // namespace
}  // namespace beamgate::tls
