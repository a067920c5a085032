// Chunked bodies, read strictly: beside each accepted form the one that another reader might take
// differently. Every body comes whole, cut at every byte, and with its data taken one byte at a time.
#include "worker/http/chunk_decoder.h"

#include <gtest/gtest.h>

namespace beamgate::http {
namespace {

using Kind = ChunkDecoder::Step::Kind;

struct Decoded {
  Kind end = Kind::NeedMore;
  std::string data;
  size_t used = 0;
};

Decoded decode(std::string_view bytes, size_t step, size_t take) {
  ChunkDecoder decoder;
  Decoded out;
  size_t have = 0;
  while (true) {
    const ChunkDecoder::Step next = decoder.next(bytes.substr(out.used, have - out.used));
    out.used += next.used;
    out.end = next.kind;
    if (next.kind == Kind::Bad || next.kind == Kind::End) return out;
    if (next.kind == Kind::Data) {
      const size_t taken = std::min(take, next.data.size());
      out.data += next.data.substr(0, taken);
      decoder.took(taken);
      out.used += taken;
    } else if (have == bytes.size()) {
      return out;
    } else {
      have = std::min(have + step, bytes.size());
    }
  }
}

Decoded decode(std::string_view bytes) {
  const Decoded whole = decode(bytes, SIZE_MAX, SIZE_MAX);
  for (const auto& [step, take] : {std::pair<size_t, size_t>{1, SIZE_MAX}, {SIZE_MAX, 1}, {3, 2}, {7, 5}}) {
    const Decoded cut = decode(bytes, step, take);
    EXPECT_EQ(cut.end, whole.end) << bytes;
    if (whole.end == Kind::End) {
      EXPECT_EQ(cut.data, whole.data) << bytes;
      EXPECT_EQ(cut.used, whole.used) << bytes;
    }
  }
  return whole;
}

TEST(ChunkDecoder, EveryAcceptedFormHasItsRefusedTwin) {
  const struct {
    const char* what;
    std::string good;
    std::string bad;
  } rows[] = {
      {"plain", "5\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n"},
      {"data longer than said", "5\r\nhello\r\n0\r\n\r\n", "4\r\nhello\r\n0\r\n\r\n"},
      {"hexadecimal", "00005\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n"},
      {"sign", "5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n"},
      {"negative", "5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n"},
      {"space before the size", "5\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n"},
      {"space behind the size", "5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"},
      {"space before an extension", "5 \t;a=b\r\nhello\r\n0\r\n\r\n", "5 a=b\r\nhello\r\n0\r\n\r\n"},
      {"no size", "5\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n"},
      {"extension without a size", "5;x\r\nhello\r\n0\r\n\r\n", ";x\r\nhello\r\n0\r\n\r\n"},
      {"LF behind the size", "5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n"},
      {"LF behind the data", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n"},
      {"CR alone behind the size", "5\r\nhello\r\n0\r\n\r\n", "5\rXhello\r\n0\r\n\r\n"},
      {"extension", "5;a=b;c=\"d;\\\"e\"\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n"},
      {"LF in an extension", "5;a\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"},
      {"LF in a quoted extension", "5;a=\"b\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\nc\"\r\nhello\r\n0\r\n\r\n"},
      {"CR in a quoted extension", "5;a=\"b\"\r\nhello\r\n0\r\n\r\n", "5;a=\"b\r\nhello\r\n0\r\n\r\n"},
      {"control byte in an extension", "5;a\r\nhello\r\n0\r\n\r\n", "5;\x01\r\nhello\r\n0\r\n\r\n"},
      {"LF at the end", "0\r\n\r\n", "0\r\n\n"},
      {"something instead of the end", "0\r\n\r\n", "0\r\n\rX"},
      {"trailer", "0\r\nA: b\r\n\r\n", "0\r\nA b\r\n\r\n"},
      {"trailer, space before the colon", "0\r\nA: b\r\n\r\n", "0\r\nA : b\r\n\r\n"},
      {"folded trailer", "0\r\nA: b\r\nC: d\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n"},
      {"LF behind a trailer", "0\r\nA: b\r\n\r\n", "0\r\nA: b\n\r\n"},
      {"CR in a trailer", "0\r\nA: b\r\n\r\n", "0\r\nA: b\rc\r\n\r\n"},
      {"no digit but a digit's neighbour", "f\r\n012345678901234\r\n0\r\n\r\n", "g\r\nx"},
      {"size too long", "0000000000000005\r\nhello\r\n0\r\n\r\n", "00000000000000005\r\nhello\r\n0\r\n\r\n"},
      {"size too big", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello"},
      {"long extension", "5;" + std::string(1000, 'x') + "\r\nhello\r\n0\r\n\r\n",
       "5;" + std::string(1100, 'x') + "\r\nhello\r\n0\r\n\r\n"},
      {"long trailer", "0\r\nA:" + std::string(1000, 'x') + "\r\n\r\n",
       "0\r\nA:" + std::string(1100, 'x') + "\r\n\r\n"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(decode(row.good).end, Kind::End) << row.what;
    EXPECT_EQ(decode(row.good).used, row.good.size()) << row.what;
    const Kind end = decode(row.bad).end;
    EXPECT_TRUE(end == Kind::Bad) << row.what;
  }
}

TEST(ChunkDecoder, DataAndEndAreFoundExactly) {
  const Decoded decoded = decode("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n");
  EXPECT_EQ(decoded.end, Kind::End);
  EXPECT_EQ(decoded.data, "abc0123456789");
  EXPECT_EQ(decoded.used, 3u + 3 + 2 + 7 + 10 + 2 + 3 + 6 + 2);
  EXPECT_EQ(decode("3\r\nabc\r\n").end, Kind::NeedMore);
}

TEST(ChunkDecoder, FramingMayNotOutweighTheData) {
  // A long body in ordinary chunks is never refused ...
  std::string ordinary;
  for (int i = 0; i < 20'000; ++i) ordinary += "4\r\nabcd\r\n";
  EXPECT_EQ(decode(ordinary + "0\r\n\r\n", SIZE_MAX, SIZE_MAX).end, Kind::End);
  // ... one that is mostly extensions, or mostly trailers, is.
  std::string padded;
  for (int i = 0; i < 100; ++i) padded += "1;" + std::string(500, 'x') + "\r\na\r\n";
  EXPECT_EQ(decode(padded + "0\r\n\r\n", SIZE_MAX, SIZE_MAX).end, Kind::Bad);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100; ++i) trailers += "A: " + std::string(500, 'x') + "\r\n";
  EXPECT_EQ(decode(trailers + "\r\n", SIZE_MAX, SIZE_MAX).end, Kind::Bad);
}

}  // namespace
}  // namespace beamgate::http
