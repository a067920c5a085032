// Workloads: what the crowd does once its connections are open.
//
// Idle        nothing, until the parent says to end.
// RoundTrips  keeps `depth` requests in flight on every connection; an answer is counted by its length, which
//             is the same for all: computed for WebSocket echo, learned from the first answer for HTTP.
// Listeners   the receivers of a fan-out; process 0 also publishes, over one HTTP connection.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <string>

#include "tests/bench/wsload/crowd.h"

namespace beamgate::bench {

// Shared by all processes of a run, in an anonymous shared mapping.
struct Board {
  // Of latencies, to the microsecond below 128 and to 1.6 % above: each power of two has kPerOctave of them.
  static constexpr size_t kPerOctave = 64;
  static constexpr size_t kBuckets = kPerOctave * 40;
  static size_t bucket_of(uint64_t us) {
    const int coarse = std::max(static_cast<int>(std::bit_width(us)) - 7, 0);
    return std::min(coarse * kPerOctave + (us >> coarse), kBuckets - 1);
  }
  static double middle_of(size_t bucket) {  // In microseconds.
    const size_t coarse = bucket < 2 * kPerOctave ? 0 : bucket / kPerOctave - 1;
    return (double(bucket - coarse * kPerOctave) + 0.5) * double(uint64_t{1} << coarse);
  }

  std::atomic<uint32_t> open;           // Connections that are open.
  std::atomic<uint32_t> processes_open;
  std::atomic<bool> go;                 // All processes are ready: measure.
  std::atomic<bool> stop;
  std::atomic<uint64_t> started_ns;
  std::atomic<uint64_t> finished_ns;    // Latest end of a process.
  std::atomic<uint64_t> answers;
  std::atomic<uint32_t> complete;       // Fan-out: processes that have everything.
  std::array<std::atomic<uint32_t>, kBuckets> latency;
};

class Idle final : public Workload {
 public:
  explicit Idle(Board& board) : board_(board) {}
  void on_open(Client&) override { ++board_.open; }
  void on_bytes(Client&, std::span<const char>) override {}
  bool on_turn(uint64_t) override { return !board_.stop; }

 private:
  Board& board_;
};

class RoundTrips final : public Workload {
 public:
  RoundTrips(const Options& options, Board& board, Crowd& crowd);
  bool websocket() const override { return !http_; }
  void on_open(Client&) override { ++board_.open; }
  void on_bytes(Client& client, std::span<const char> bytes) override;
  void on_all_open() override { ++board_.processes_open; }
  bool on_turn(uint64_t now_ns) override;

 private:
  void learn_length(Client& client, std::span<const char> bytes);
  void count(Client& client, uint64_t answers);

  const Options& options_;
  Board& board_;
  Crowd& crowd_;
  const bool http_;
  std::string request_;
  std::string requests_;      // `depth` requests.
  uint64_t answer_bytes_ = 0; // 0: not learned yet.
  std::string first_answer_;
  uint64_t counted_ = 0;
  bool running_ = false;
  bool measuring_ = false;
};

class Listeners final : public Workload {
 public:
  Listeners(const Options& options, Board& board, Crowd& crowd, bool publishes);
  ~Listeners() override;
  void on_open(Client&) override { ++board_.open; }
  void on_bytes(Client& client, std::span<const char> bytes) override;
  void on_all_open() override { ++board_.processes_open; }
  bool on_turn(uint64_t now_ns) override;

 private:
  void connect_publisher();
  void publish_some();

  const Options& options_;
  Board& board_;
  Crowd& crowd_;
  const bool publishes_;
  uint64_t expected_bytes_;   // Per listener.
  size_t listeners_complete_ = 0;
  bool reported_ = false;
  int publisher_ = -1;
  uint32_t published_ = 0;
  uint32_t answered_ = 0;
  std::string request_;
  std::string answers_;
};

// One masked binary frame with `size` bytes of payload, and the length of the unmasked frame that answers.
std::string masked_frame(uint32_t size);
uint64_t plain_frame_bytes(uint32_t size);

}  // namespace beamgate::bench
