// Replay: runs inputs that are kept, without libFuzzer: "fuzz_replay TARGET MUTANTS PATH...", directories with all they
// hold, each input also in so many mutants.  What does not hold ends the program, which then tells its input.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "tests/fuzz/mutants.h"
#include "tests/fuzz/target.h"

// Of sanitizers, which end the program without SIGABRT; null in other builds.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace beamgate::fuzz {
namespace {

using std::filesystem::path;

// What runs now, for on_abort().
const std::vector<char>* current = nullptr;
std::string current_file;

void tell_input() {
  if (current == nullptr) return;
  fprintf(stderr, "fuzz_replay: the input was %zu bytes, like %s, in hexadecimal:\n%s\n", current->size(), current_file.c_str(),
          to_hex({current->data(), current->size()}).c_str());
}

void on_abort(int) {
  tell_input();
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

std::vector<path> files_of(const path& from) {
  if (!std::filesystem::is_directory(from)) return {from};
  std::vector<path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(from)) {
    if (entry.is_regular_file()) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void run(const Target& target, std::string_view bytes) {
  const std::vector<char> own(bytes.begin(), bytes.end());  // Of its exact size: a sanitizer sees a byte too far.
  current = &own;
  target.run({own.data(), own.size()});
  current = nullptr;
}

int replay(std::string_view name, size_t mutants, const std::vector<path>& paths) {
  const auto found = std::find_if(targets().begin(), targets().end(), [&](const Target& t) { return t.name == name; });
  std::vector<path> files;
  for (const path& from : paths) {
    const auto more = files_of(from);
    files.insert(files.end(), more.begin(), more.end());
  }
  if (found == targets().end() || files.empty()) {
    fprintf(stderr, "fuzz_replay: no such target, or no inputs\n");
    return 2;
  }
  std::vector<std::string> inputs;
  for (const path& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in.is_open()) {
      fprintf(stderr, "fuzz_replay: can't read %s\n", file.c_str());
      return 2;
    }
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  run(*found, {});
  for (size_t i = 0; i < inputs.size(); ++i) {
    current_file = files[i];
    run(*found, inputs[i]);
    Mutants source(inputs, static_cast<uint32_t>(stable_hash(files[i].filename().string())));
    for (size_t n = 0; n < mutants; ++n) run(*found, source.next(inputs[i]));
  }
  printf("%zu inputs, %zu mutants of each\n", inputs.size(), mutants);
  return 0;
}

}  // namespace
}  // namespace beamgate::fuzz

int main(int count, char** arguments) {
  uint64_t mutants = 0;
  if (count < 4 || !beamgate::parse_decimal(arguments[2], mutants)) {
    fputs("usage: fuzz_replay TARGET MUTANTS FILE-OR-DIRECTORY...\n", stderr);
    return 2;
  }
  signal(SIGABRT, beamgate::fuzz::on_abort);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(beamgate::fuzz::tell_input);
  return beamgate::fuzz::replay(arguments[1], mutants, {arguments + 3, arguments + count});
}
