// Nanoseconds per complete client frame through the message reader: wslay's judgement of the head, unmasking in
// place, UTF-8 validation for text, and for comparison unmasking alone.  Run: build/release/tests/bench_ws_frames
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/unit/worker/ws/client_frames.h"
#include "worker/ws/mask.h"
#include "worker/ws/message_reader.h"

namespace {

using namespace beamgate;

constexpr size_t kBytes = 60 << 10;
constexpr int kRounds = 2000;

double nanoseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

double read_frames(uint8_t opcode, size_t payload_bytes) {
  const std::string frame = ws::testing::client_frame(opcode, std::string(payload_bytes, 'x'));
  std::string input;
  while (input.size() + frame.size() <= kBytes) input += frame;
  const size_t frames = input.size() / frame.size();

  record::Arena arena = record::Arena::map({}, 1).value();
  record::Record& record = arena.records()[0];
  record = record::Record{};
  ws::MessageReader reader(arena);
  const ws::MessageLimits limits{.message_bytes_max = 1 << 20};
  std::string landing = input;
  double best = 1e18;  // Of all rounds: what else the machine does is not measured.
  size_t messages = 0;
  for (int round = 0; round < kRounds; ++round) {
    memcpy(landing.data(), input.data(), input.size());
    const auto start = std::chrono::steady_clock::now();
    for (size_t used = 0; used < landing.size();) {
      const ws::Step step = reader.read(record, std::span(landing).subspan(used), limits);
      if (step.kind != ws::Step::Kind::Message) abort();
      used += step.consumed;
      reader.done();
      ++messages;
    }
    best = std::min(best, nanoseconds_since(start));
  }
  if (messages != frames * kRounds) abort();
  return best / static_cast<double>(frames);
}

double unmask_only(size_t payload_bytes) {
  std::string payload(payload_bytes, 'x');
  uint8_t key[4] = {1, 2, 3, 4};
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) ws::unmask(payload, key);
    best = std::min(best, nanoseconds_since(start));
  }
  return best / 100;
}

}  // namespace

int main() {
  printf("%8s %12s %12s %12s\n", "payload", "binary ns", "text ns", "unmask ns");
  for (const size_t size : {0, 16, 64, 125, 256, 1024, 4096, 16384, 32768}) {
    printf("%8zu %12.1f %12.1f %12.1f\n", size, read_frames(2, size), read_frames(1, size), unmask_only(size));
  }
}
