// Text is judged the same however it is cut, and as early as the first byte that can't be mended: a client that
// sends bad text must not be able to hide it behind a fragment boundary.
#include "worker/ws/utf8_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/utf8.h"

namespace beamgate::ws {
namespace {

const std::vector<std::string>& good_texts() {
  static const std::vector<std::string> texts = {
      "", "plain", "12345678", "thirty-two bytes of plain ascii!", std::string(1000, 'x'),
      "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xe1\x80\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
      "\xf0\x90\x80\x80", "\xf1\x80\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf",
      std::string(7, 'a') + "\xc3\xa4" + std::string(40, 'b') + "\xf0\x9f\x98\x80" + std::string(9, 'c'),
      "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", std::string("\x00\x01", 2), "\xef\xbf\xbe"};
  return texts;
}

// With the number of bytes after which nothing could save them any more.
struct Bad {
  std::string text;
  size_t seen_after;
};
const std::vector<Bad>& bad_texts() {
  static const std::vector<Bad> texts = {
      {"\x80", 1}, {"\xbf", 1}, {"\xc0\x80", 1}, {"\xc1\xbf", 1}, {"\xc2\x7f", 2}, {"\xc2\xc0", 2},
      {"\xe0\x9f\xbf", 2}, {"\xe0\x80\x80", 2}, {"\xed\xa0\x80", 2}, {"\xed\xbf\xbf", 2}, {"\xe1\x80\x7f", 3},
      {"\xf0\x8f\xbf\xbf", 2}, {"\xf4\x90\x80\x80", 2}, {"\xf5\x80\x80\x80", 1}, {"\xf8\x88\x80\x80\x80", 1},
      {"\xfe", 1}, {"\xff", 1}, {"\xf1\x80\x80\xc0", 4}, {std::string(100, 'a') + "\xff" + std::string(100, 'a'), 101},
      {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80 edited", 13}};
  return texts;
}

TEST(Utf8Stream, GoodTextsPassWholeAndAtEveryCut) {
  for (const std::string& text : good_texts()) {
    EXPECT_EQ(check_utf8(text), Utf8State::Boundary);
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      const Utf8State state = check_utf8(std::string_view(text).substr(0, cut));
      ASSERT_NE(state, Utf8State::Invalid);
      EXPECT_EQ(check_utf8(std::string_view(text).substr(cut), state), Utf8State::Boundary);
    }
  }
}

TEST(Utf8Stream, BadTextsFailAtTheFirstHopelessByte) {
  for (const Bad& bad : bad_texts()) {
    Utf8State state = Utf8State::Boundary;
    size_t at = 0;
    while (at < bad.text.size() && state != Utf8State::Invalid) {
      state = check_utf8(std::string_view(bad.text).substr(at++, 1), state);
    }
    EXPECT_EQ(state, Utf8State::Invalid);
    EXPECT_EQ(at, bad.seen_after);
    EXPECT_EQ(check_utf8(bad.text), Utf8State::Invalid);
  }
}

TEST(Utf8Stream, ACutCharacterIsNoBoundary) {
  for (const char* cut : {"\xc2", "\xe0", "\xe0\xa0", "\xe1\x80", "\xed\x9f", "\xf0\x90", "\xf4\x8f\xbf", "abcdefgh\xf1"}) {
    const Utf8State state = check_utf8(cut);
    EXPECT_NE(state, Utf8State::Boundary);
    EXPECT_NE(state, Utf8State::Invalid);
  }
}

// Every sequence of three bytes against the other validator of the house, which was written independently.
TEST(Utf8Stream, AgreesWithTheWholeTextValidator) {
  const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
  for (const char a : edges) {
    for (const char b : edges) {
      for (const char c : edges) {
        for (const char d : edges) {
          const std::string text = {a, b, c, d};
          ASSERT_EQ(check_utf8(text) == Utf8State::Boundary, beamgate::valid_utf8(text));
        }
      }
    }
  }
}

TEST(Utf8Stream, CutsBetweenCharacters) {
  EXPECT_EQ(cut_utf8("abc", 3), "abc");
  EXPECT_EQ(cut_utf8("abc", 2), "ab");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 3), "a");
  EXPECT_EQ(cut_utf8("a\xe2\x82\xac", 2), "a");
  EXPECT_EQ(cut_utf8("\xe2\x82\xac", 0), "");
}

}  // namespace
}  // namespace beamgate::ws
