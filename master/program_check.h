// ProgramCheck: runs a program to its end and says whether it was pleased, without waiting for it.
//
// Owner      Upgrade; the EventLoop outlives it.
// Lifetime   From run() until on_end, which is called once, from the loop or from child_exited().  The program is
//            killed when the check dies first.
// Limits     kLimitMs of time, kOutputBytesMax of output; what is more is not kept.
// Errors     on_end tells: the program can't be executed, ended with another status than 0, or took too long.
// Output     Standard output and error together; each line also goes to the log.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/log/log.h"
#include "master/event_loop.h"

namespace beamgate::master {

class ProgramCheck {
 public:
  static constexpr int64_t kLimitMs = 30'000;
  static constexpr size_t kOutputBytesMax = 16 << 10;

  struct Ending {
    bool answered = false;  // It has ended by itself; else it was never executed, killed, or too late.
    std::string failure;    // Why it is not pleased, for people; empty: it is.
  };
  using OnEnd = std::function<void(const Ending& ending, const std::string& output)>;

  ProgramCheck(EventLoop& loop, log::Log& log) : loop_(loop), log_(log) {}
  ~ProgramCheck();
  ProgramCheck(const ProgramCheck&) = delete;
  ProgramCheck& operator=(const ProgramCheck&) = delete;

  // arguments: with the program's name.  inherited: a descriptor that it gets, as the number in the variable `name`;
  // -1: none.
  Result<void> run(const std::string& program, std::vector<std::string> arguments, const char* name, int inherited,
                   OnEnd on_end);
  bool child_exited(pid_t pid, int status);  // False: not ours.

 private:
  void read_output();
  void log_lines() const;
  void clear();

  EventLoop& loop_;
  log::Log& log_;
  OnEnd on_end_;
  pid_t pid_ = 0;
  bool late_ = false;
  UniqueFd output_end_;
  std::string output_;
  std::optional<EventLoop::WatchId> watch_;
  std::optional<EventLoop::TimerId> timer_;
};

// Pointers for execve(); they borrow.
std::vector<char*> pointers_to(std::vector<std::string>& texts);

}  // namespace beamgate::master
