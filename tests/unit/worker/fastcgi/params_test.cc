// The bytes of a request: lengths of one and of four bytes, streams that are cut in records.
#include "worker/fastcgi/params.h"

#include <gtest/gtest.h>

#include "worker/fastcgi/record.h"

namespace beamgate::fastcgi {
namespace {

std::string param(std::string_view name, std::string_view value) {
  std::string out;
  append_param(name, value, out);
  return out;
}

TEST(FastcgiParams, Lengths) {
  EXPECT_EQ(param("A", ""), std::string("\x01\0A", 3));
  EXPECT_EQ(param("A", "b"), "\x01\x01" "Ab");
  const std::string longest_short(127, 'v');
  EXPECT_EQ(param("A", longest_short), "\x01\x7f" "A" + longest_short);
  const std::string shortest_long(128, 'v');
  EXPECT_EQ(param("A", shortest_long), std::string("\x01\x80\0\0\x80" "A", 6) + shortest_long);
  const std::string name(300, 'n');
  EXPECT_EQ(param(name, "v"), std::string("\x80\0\x01\x2c\x01", 5) + name + "v");
}

TEST(FastcgiParams, NamesOfFields) {
  EXPECT_EQ(http_param_name("User-Agent"), "HTTP_USER_AGENT");
  EXPECT_EQ(http_param_name("x_y-1"), "HTTP_X_Y_1");
}

TEST(FastcgiParams, BeginSaysTheRoleAndWhetherToKeep) {
  std::string out;
  append_begin(false, out);
  append_begin(true, out);
  EXPECT_EQ(out, std::string("\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0"
                             "\1\1\0\1\0\x08\0\0\0\1\1\0\0\0\0\0", 32));
}

TEST(FastcgiParams, LongStreamsAreCutInRecords) {
  const std::string bytes(2 * kContentBytesMax + 1, 'x');
  std::string out;
  append_params(bytes, out);
  std::string joined;
  size_t records = 0;
  for (std::string_view rest = out; !rest.empty(); ++records) {
    const RecordHeader header = read_header(rest);
    EXPECT_EQ(header.version, kVersion);
    EXPECT_EQ(header.type, static_cast<uint8_t>(RecordType::Params));
    EXPECT_EQ(header.request_id, kRequestId);
    EXPECT_EQ(header.padding_bytes, 0);
    joined += rest.substr(kHeaderBytes, header.content_bytes);
    rest.remove_prefix(kHeaderBytes + header.content_bytes);
    if (rest.empty()) {
      EXPECT_EQ(header.content_bytes, 0);
    }
  }
  EXPECT_EQ(records, 4u);
  EXPECT_EQ(joined, bytes);
}

}  // namespace
}  // namespace beamgate::fastcgi
