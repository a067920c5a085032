#include "master/program_check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/base/assert.h"
#include "master/signals.h"

namespace beamgate::master {
namespace {

constexpr int kCannotExecute = 127;
constexpr const char* kNotExecuted = "it can't be executed";

[[noreturn]] void become(const std::string& program, std::vector<std::string>& arguments, const char* name, int inherited,
                         int output) {
  Signals::reset_for_child();
  dup2(output, 1);
  dup2(output, 2);
  if (inherited >= 0) {
    fcntl(inherited, F_SETFD, 0);
    setenv(name, std::to_string(inherited).c_str(), 1);
  }
  unsetenv("NOTIFY_SOCKET");
  execv(program.c_str(), pointers_to(arguments).data());
  const std::string text = system_error(kNotExecuted).message();
  static_cast<void>(!write(2, text.data(), text.size()));
  _exit(kCannotExecute);
}

}  // namespace

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

ProgramCheck::~ProgramCheck() {
  if (pid_ > 0) kill(pid_, SIGKILL);  // Whoever reaps finds a child of nobody.
  clear();
}

void ProgramCheck::clear() {
  if (watch_) loop_.unwatch(*watch_);
  if (timer_) loop_.cancel(*timer_);
  watch_.reset();
  timer_.reset();
  output_end_.reset();
}

Result<void> ProgramCheck::run(const std::string& program, std::vector<std::string> arguments, const char* name,
                               int inherited, OnEnd on_end) {
  BG_ASSERT(pid_ == 0);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("can't make a pipe");
  fcntl(ends[0], F_SETFL, O_NONBLOCK);  // Ours only.
  output_end_.reset(ends[0]);
  const UniqueFd child_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return system_error("can't fork");
  if (pid == 0) become(program, arguments, name, inherited, child_end.get());
  pid_ = pid;
  late_ = false;
  output_.clear();
  on_end_ = std::move(on_end);
  auto watch = loop_.watch(output_end_.get(), [this](EventLoop::Ready) { read_output(); });
  if (watch.ok()) watch_ = watch.value();
  timer_ = loop_.after(kLimitMs, [this] {
    timer_.reset();
    late_ = true;
    kill(pid_, SIGKILL);
  });
  return {};
}

void ProgramCheck::read_output() {
  char bytes[4096];
  for (;;) {
    const ssize_t count = read(output_end_.get(), bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    if (count == 0) break;
    const auto room = kOutputBytesMax - output_.size();
    output_.append(bytes, std::min(static_cast<size_t>(count), room));
  }
  if (watch_) loop_.unwatch(*watch_);
  watch_.reset();
}

void ProgramCheck::log_lines() const {
  std::string_view rest = output_;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) log_.notice("program_says", {{"line", rest.substr(0, end)}});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

bool ProgramCheck::child_exited(pid_t pid, int status) {
  if (pid_ == 0 || pid != pid_) return false;
  pid_ = 0;
  read_output();
  clear();
  log_lines();
  Ending ending;
  if (late_) {
    ending.failure = "it did not answer within " + std::to_string(kLimitMs / 1'000) + " s";
  } else if (WIFSIGNALED(status)) {
    ending.failure = "it was ended by signal " + std::to_string(WTERMSIG(status));
  } else if (WEXITSTATUS(status) == kCannotExecute && output_.starts_with(kNotExecuted)) {
    ending.failure = output_;
  } else {
    ending.answered = true;
    if (WEXITSTATUS(status) != 0) ending.failure = "status " + std::to_string(WEXITSTATUS(status));
  }
  // Whoever hears of it may run the next program, or end this check.
  const OnEnd on_end = std::move(on_end_);
  const std::string output = std::move(output_);
  on_end(ending, output);
  return true;
}

}  // namespace beamgate::master
