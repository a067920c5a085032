// Mutants: inputs that differ from a kept one in a few places, always the same for the same seed.  No match for libFuzzer,
// which sees where they lead; but every build has them, and the same ones everywhere.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::fuzz {

class Mutants {
 public:
  static constexpr size_t kBytesMax = 8192;

  // others: what pieces are taken from.
  Mutants(const std::vector<std::string>& others, uint32_t seed) : others_(others), random_(seed) {}

  std::string next(std::string text) {
    for (size_t changes = 1 + below(4); changes > 0; --changes) change(text);
    if (text.size() > kBytesMax) text.resize(kBytesMax);
    return text;
  }

 private:
  size_t below(size_t count) { return count == 0 ? 0 : random_() % count; }

  std::string piece_of(const std::string& text) {
    const size_t at = below(text.size());
    return text.substr(at, 1 + below(20));
  }

  void change(std::string& text) {
    static constexpr std::string_view kWords[] = {"\r\n", "\n", " ", "0", "-1", "18446744073709551616", "\"", "\\", "%", "{", "}",
                                                  "[", "]", ":", ";", ",", "/..", "\xff", "\xed\xa0\x80", std::string_view("\0", 1)};
    const size_t at = below(text.size() + 1);
    switch (below(7)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
        return;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random_());
        return;
      case 2:
        text.erase(at, 1 + below(8));
        return;
      case 3:
        text.insert(at, kWords[below(std::size(kWords))]);
        return;
      case 4:
        text.insert(at, piece_of(text));
        return;
      case 5:
        text.insert(at, piece_of(others_[below(others_.size())]));
        return;
      default:
        text.resize(at);
    }
  }

  const std::vector<std::string>& others_;
  std::mt19937 random_;
};

}  // namespace beamgate::fuzz
