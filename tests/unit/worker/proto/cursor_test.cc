// Cursors: what write_cursor() writes is read again for the same channels, in whatever order, and nothing else is
// taken for a place that a client has reached.
#include "worker/proto/cursor.h"

#include <gtest/gtest.h>

namespace beamgate::proto {
namespace {

using Channels = std::vector<std::string>;

TEST(Cursor, OneChannelIsNotNamed) {
  const Reached place{"room", "aB3", 42};
  EXPECT_EQ(write_cursor({&place, 1}), "aB3:42");
  const Channels channels = {"another"};
  const auto cursor = Cursor::parse("aB3:42", channels);
  ASSERT_TRUE(cursor);
  EXPECT_EQ(cursor->of("another")->epoch, "aB3");
  EXPECT_EQ(cursor->of("another")->offset, 42u);
  EXPECT_FALSE(cursor->of("room"));
}

TEST(Cursor, SeveralChannelsAreFoundByTheirNames) {
  const Reached places[] = {{"a", "e1", 1}, {"b", "e2", 0}, {"c", "e3", UINT64_MAX}};
  const std::string text = write_cursor(places);
  const Channels channels = {"c", "new", "b"};
  const auto cursor = Cursor::parse(text, channels);
  ASSERT_TRUE(cursor);
  EXPECT_EQ(cursor->of("c")->offset, UINT64_MAX);
  EXPECT_EQ(cursor->of("b")->epoch, "e2");
  EXPECT_FALSE(cursor->of("a"));
  EXPECT_FALSE(cursor->of("new"));
  const Channels one = {"b"};
  const auto alone = Cursor::parse(text, one);
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->of("b")->epoch, "e2");
}

TEST(Cursor, NothingElseIsOne) {
  const Channels one = {"a"}, two = {"a", "b"};
  for (const char* text : {"", ":", "e:", ":1", "e:x", "e:-1", "e:1 ", "e 1", "e:18446744073709551616", "e.x:1"}) {
    EXPECT_FALSE(Cursor::parse(text, one)) << text;
  }
  const Reached places[] = {{"a", "e1", 1}, {"b", "e2", 2}};
  const std::string good = write_cursor(places);
  ASSERT_TRUE(Cursor::parse(good, two));
  EXPECT_FALSE(Cursor::parse("e1:1", two));
  EXPECT_FALSE(Cursor::parse(good.substr(0, good.size() - 1), two));
  EXPECT_FALSE(Cursor::parse(good + ",,", two));
  for (const Channels& others : {Channels{"x", "y"}, Channels{"x"}}) {
    EXPECT_FALSE(Cursor::parse(good, others)) << "nothing of it is known";
  }
}

TEST(Cursor, HasAnEnd) {
  std::string text;
  Channels channels = {"a", "b"};
  const Reached places[] = {{"a", "e", 1}, {"b", "e", 1}};
  for (size_t i = 0; i < Cursor::kChannelsMax; ++i) text += write_cursor(places) + ",";
  EXPECT_FALSE(Cursor::parse(text, channels));
}

}  // namespace
}  // namespace beamgate::proto
