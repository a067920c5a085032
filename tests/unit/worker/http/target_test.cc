// Paths mean what a file system would make of them, whatever disguise they come in.
#include "worker/http/target.h"

#include <gtest/gtest.h>

namespace beamgate::http {
namespace {

std::string normal(std::string_view path) {
  std::string out;
  return normalise_path(path, out) ? out : "refused";
}

TEST(Target, PathsAreNormalised) {
  const struct {
    const char* path;
    const char* normal;
  } rows[] = {
      {"/", "/"},
      {"a/b", "refused"},
      {"a/../../b", "refused"},
      {"/a/b", "/a/b"},
      {"//a///b//", "/a/b/"},
      {"/a/./b", "/a/b"},
      {"/a/.", "/a/"},
      {"/./", "/"},
      {"/a/..", "/"},
      {"/a/../", "/"},
      {"/a/b/../c", "/a/c"},
      {"/a/b/../../c", "/c"},
      {"/a//../b", "/b"},
      {"/a/...", "/a/..."},
      {"/a/..b", "/a/..b"},
      {"/a/.b/", "/a/.b/"},
      {"/%61", "/a"},
      {"/a%2fb", "/a/b"},
      {"/a%2F%2e%2e%2fb", "/b"},
      {"/a/%2E%2E/b", "/b"},
      {"/a/%2e/b", "/a/b"},
      {"/a/.%2e", "/"},
      {"/%25%32%65", "/%2e"},
      {"/a%3Fb", "/a?b"},
      {"/a%23b", "/a#b"},
      {"/a+b", "/a+b"},
      {"/%c3%a9", "/\xc3\xa9"},
      {"/%20", "/ "},
  };
  for (const auto& row : rows) EXPECT_EQ(normal(row.path), row.normal) << row.path;
}

TEST(Target, PathsAboveTheRootAndMalformedOnesAreRefused) {
  for (const char* path :
       {"/..", "/../", "/../a", "/a/../..", "/a/../../b", "/%2e%2e/a", "/%2e%2e%2fa", "/a/..%2f..", "/.%2e",
        "//../a", "/%", "/%a", "/%zz", "/a%4", "/%00", "/a%00b", "a", ""}) {
    EXPECT_EQ(normal(path), "refused") << path;
  }
}

TEST(Target, EncodedPathsComeBack) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  const std::string path = "/a b/" + all.substr(0, all.find('.')) + "\r\n?#%\"<>";
  const std::string encoded = encode_path(path);
  EXPECT_EQ(encoded.find_first_of("\r\n ?#\"<>"), encoded.npos);
  EXPECT_EQ(normal(encoded), path);
}

}  // namespace
}  // namespace beamgate::http
