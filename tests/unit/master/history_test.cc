#include "master/hub/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace beamgate::master {
namespace {

using namespace testing;

KeptPublication publication(uint64_t offset, int64_t time_ms = 0, size_t bytes = 1) {
  KeptPublication out;
  out.offset = offset;
  out.time_ms = time_ms;
  out.payload = std::string(bytes, 'x');
  return out;
}

std::vector<uint64_t> offsets(const std::vector<ipc::Past>& list) {
  std::vector<uint64_t> out;
  for (const ipc::Past& past : list) out.push_back(past.offset);
  return out;
}

TEST(History, KeepsTheNewestOfItsNumber) {
  HistoryStore store;
  History history(store);
  for (uint64_t offset = 1; offset <= 5; ++offset) history.add(publication(offset), 3, 1'000);
  EXPECT_THAT(offsets(history.newest(10, false)), ElementsAre(3, 4, 5));
  EXPECT_THAT(offsets(history.newest(2, true)), ElementsAre(5, 4));
  EXPECT_THAT(offsets(history.from(3, 10, false)), ElementsAre(4, 5));
  EXPECT_THAT(offsets(history.from(5, 1, true)), ElementsAre(4));
}

TEST(History, MissedIsAllOrNothing) {
  HistoryStore store;
  History history(store);
  for (uint64_t offset = 1; offset <= 5; ++offset) history.add(publication(offset), 3, 1'000);
  EXPECT_THAT(offsets(*history.missed(3, 5, 10)), ElementsAre(4, 5));
  EXPECT_THAT(offsets(*history.missed(2, 5, 10)), ElementsAre(3, 4, 5));
  EXPECT_THAT(offsets(*history.missed(5, 5, 10)), ElementsAre());
  EXPECT_FALSE(history.missed(1, 5, 10)) << "2 is gone";
  EXPECT_FALSE(history.missed(2, 5, 2)) << "more than may be";
  EXPECT_FALSE(history.missed(6, 5, 10)) << "of another stream";
}

TEST(History, APublicationThatWasNotKeptIsMissing) {
  HistoryStore store;
  History history(store);
  history.add(publication(1), 10, 1'000);
  history.add(publication(3), 10, 1'000);
  EXPECT_FALSE(history.missed(1, 3, 10));
  EXPECT_FALSE(history.missed(2, 4, 10)) << "4 was not kept";
  EXPECT_THAT(offsets(*history.missed(2, 3, 10)), ElementsAre(3));
}

TEST(History, ForgetsWhatIsTooOld) {
  HistoryStore store;
  History history(store);
  history.add(publication(1, 1'000), 10, 500);
  history.add(publication(2, 1'400), 10, 500);
  history.expire(1'499);
  EXPECT_EQ(history.size(), 2u);
  history.expire(1'500);
  EXPECT_THAT(offsets(history.newest(10, false)), ElementsAre(2));
  history.expire(1'900);
  EXPECT_TRUE(history.empty());
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(History, TheOldestOfAllChannelsGoesFirstWhenMemoryIsShort) {
  HistoryStore store;
  store.set_bytes_max(50'000);
  History a(store);
  History b(store);
  a.add(publication(1, 0, 20'000), 10, 1'000);
  b.add(publication(1, 0, 20'000), 10, 1'000);
  a.add(publication(2, 0, 20'000), 10, 1'000);
  EXPECT_THAT(offsets(a.newest(10, false)), ElementsAre(2));
  EXPECT_EQ(b.size(), 1u);
  b.clear();
  EXPECT_LT(store.bytes(), 21'000u);
  EXPECT_EQ(store.size(), 1u);
}

}  // namespace
}  // namespace beamgate::master
