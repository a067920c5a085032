// wsload: a load generator for WebSocket and HTTP servers, several processes of one epoll loop each.
//
//   wsload idle   --port N --connections 100000 --processes 5      opens, prints "open N", waits for EOF
//   wsload echo   --port N --path /echo --connections 64 --depth 16 --size 64
//   wsload http   --port N --path /x --connections 64
//   wsload fanout --port N --path /hub/bench --connections 1000 --publications 1000 --publish-path /api/publish
//   wsload app                                                     the application of webhook measurements
//
// A result is one line of JSON on standard output.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "tests/bench/wsload/app.h"
#include "tests/bench/wsload/crowd.h"
#include "tests/bench/wsload/options.h"
#include "tests/bench/wsload/workloads.h"

namespace beamgate::bench {
namespace {

constexpr uint64_t kStallNs = 120'000'000'000;  // A run that takes longer has failed.

Board* map_board() {
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  return new (memory) Board();
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::unique_ptr<Workload> make_workload(const Options& options, Board& board, Crowd& crowd, uint32_t process) {
  if (options.mode == "idle") return std::make_unique<Idle>(board);
  if (options.mode == "fanout") return std::make_unique<Listeners>(options, board, crowd, process == 0);
  return std::make_unique<RoundTrips>(options, board, crowd);
}

[[noreturn]] void run_process(const Options& options, Board& board, uint32_t process) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const uint32_t share = options.connections / options.processes;
  const uint32_t extra = process < options.connections % options.processes ? 1 : 0;
  Crowd crowd(options, process, share + extra);
  const std::unique_ptr<Workload> workload = make_workload(options, board, crowd, process);
  crowd.run(*workload);
  std::_Exit(0);
}

// True when a process has ended with an error; the message is on standard error already.
bool any_failed(bool wait_for_all) {
  int status = 0;
  while (true) {
    const pid_t pid = waitpid(-1, &status, wait_for_all ? 0 : WNOHANG);
    if (pid <= 0) return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return true;
  }
}

// Waits until the condition holds; ends the run when a process fails or nothing happens any more.
template <typename Condition>
bool wait_until(Condition condition) {
  const uint64_t limit = now_ns() + kStallNs;
  while (!condition()) {
    if (any_failed(false)) return false;
    if (now_ns() > limit) {
      std::fprintf(stderr, "wsload: stalled\n");
      return false;
    }
    usleep(2'000);  // The processes only write counters; the pause keeps this one off the measured cores.
  }
  return true;
}

double percentile_us(const Board& board, double share) {
  uint64_t total = 0;
  for (const auto& bucket : board.latency) total += bucket;
  uint64_t seen = 0;
  for (size_t i = 0; i < Board::kBuckets; ++i) {
    seen += board.latency[i];
    if (total > 0 && double(seen) >= share * double(total)) return Board::middle_of(i);
  }
  return 0;
}

int run_idle(const Options& options, Board& board, uint64_t begun_ns) {
  if (!wait_until([&] { return board.open == options.connections; })) return 1;
  std::printf("{\"open\": %u, \"seconds\": %.3f}\n", options.connections, double(now_ns() - begun_ns) / 1e9);
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  board.stop = true;
  return any_failed(true) ? 1 : 0;
}

int run_load(const Options& options, Board& board) {
  if (!wait_until([&] { return board.processes_open == options.processes; })) return 1;
  std::fprintf(stderr, "open %u\n", options.connections);
  board.started_ns = now_ns();
  board.go = true;
  if (any_failed(true)) return 1;
  const uint64_t begun = board.started_ns + (options.mode == "fanout" ? 0 : options.warmup * 1'000'000'000ULL);
  const double seconds = double(board.finished_ns - begun) / 1e9;
  const double answers = double(board.answers);
  std::printf("{\"mode\": \"%s\", \"answers\": %.0f, \"seconds\": %.3f, \"per_second\": %.0f, "
              "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
              options.mode.c_str(), answers, seconds, answers / seconds, percentile_us(board, 0.50),
              percentile_us(board, 0.99));
  return 0;
}

int run(const Options& options) {
  if (options.mode == "app") return run_app(options.port);
  raise_descriptor_limit();
  Board& board = *map_board();
  const uint64_t begun_ns = now_ns();
  std::vector<pid_t> children;
  for (uint32_t process = 0; process < options.processes; ++process) {
    const pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) run_process(options, board, process);
    children.push_back(pid);
  }
  const int status = options.mode == "idle" ? run_idle(options, board, begun_ns) : run_load(options, board);
  if (status != 0) {
    for (const pid_t pid : children) kill(pid, SIGKILL);
  }
  return status;
}

}  // namespace
}  // namespace beamgate::bench

int main(int argc, char** argv) {
  return beamgate::bench::run(beamgate::bench::parse_options(argc, argv));
}
