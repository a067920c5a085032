// Shows that no text, however broken, makes the reader crash, hang or accept what it can't write again: the
// sample is cut, spliced and overwritten many times over, always with the same seeds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "common/config/load.h"
#include "tests/unit/common/config/describe.h"
#include "tests/unit/common/config/sample.h"

namespace beamgate::config {
namespace {

// No names to resolve: a mutated one would ask the network.
std::string numeric_sample() {
  std::string text(kSample);
  for (size_t at = text.find("localhost"); at != std::string::npos; at = text.find("localhost", at)) {
    text.replace(at, 9, "127.0.0.9");
  }
  return text;
}

std::string mutate(const std::string& text, std::mt19937& random) {
  static constexpr std::string_view kPieces[] = {";",
                                                 "{",
                                                 "}",
                                                 "\"",
                                                 "'",
                                                 "\\",
                                                 "$",
                                                 "${",
                                                 "#",
                                                 "\n",
                                                 " ",
                                                 "\t",
                                                 "~",
                                                 "\xff",
                                                 "0",
                                                 "server ",
                                                 "*",
                                                 "location ",
                                                 "::",
                                                 "unix:",
                                                 "http://",
                                                 "include *;",
                                                 "99999999999999999999"};
  std::string out = text;
  const auto pick = [&random](size_t below) { return below == 0 ? 0 : random() % below; };
  for (size_t n = 1 + pick(4); n > 0; --n) {
    const size_t at = pick(out.size());
    switch (pick(5)) {
      case 0:
        out.erase(at, 1 + pick(20));
        break;
      case 1:
        out.insert(at, kPieces[pick(std::size(kPieces))]);
        break;
      case 2:
        out[at] = static_cast<char>(pick(256));
        break;
      case 3:
        out.insert(at, text.substr(pick(text.size()), pick(200)));
        break;
      default:
        out.resize(at);
        break;
    }
    if (out.empty()) out = "x";
  }
  return out;
}

TEST(Mutation, NothingCrashesAndWhatIsAcceptedRoundTrips) {
  const std::string sample = numeric_sample();
  LoadOptions options;
  options.prefix = "/nonexistent";
  options.resolve_names = false;
  // BEAMGATE_MUTATIONS asks for a longer run than every build can afford.
  const char* wanted = getenv("BEAMGATE_MUTATIONS");
  const unsigned seeds = wanted == nullptr ? 500 : static_cast<unsigned>(atoi(wanted));
  unsigned accepted = 0;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    std::mt19937 random(seed);
    const std::string text = mutate(sample, random);
    const LoadResult result = load_text(text, options);
    ASSERT_EQ(result.ok(), result.errors.empty()) << "seed " << seed;
    static_cast<void>(dump(result.sources, true));
    if (!result.ok()) continue;
    ++accepted;
    const LoadResult again = load_text(result.config->dump, options);
    ASSERT_TRUE(again.ok()) << "seed " << seed << "\n" << report(again);
    ASSERT_EQ(describe(*result.config), describe(*again.config)) << "seed " << seed;
  }
  EXPECT_GT(accepted, 0u);  // Else the second half has shown nothing.
}

TEST(Mutation, DepthAndSizeAreBounded) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "http { ";
  EXPECT_FALSE(load_text(deep).ok());
  EXPECT_FALSE(load_text(std::string(5 << 20, ' ')).ok());
  std::string many = "user";
  for (int i = 0; i < 10'000; ++i) many += " x";
  EXPECT_FALSE(load_text(many + ";").ok());
  std::string statements;
  for (int i = 0; i < 100'001; ++i) statements += "x;";
  EXPECT_FALSE(load_text(statements).ok());
}

}  // namespace
}  // namespace beamgate::config
