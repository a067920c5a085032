#include "master/upgrade.h"

#include <unistd.h>

#include <utility>

#include "common/base/assert.h"

namespace beamgate::master {

void Upgrade::begin(const Program& program) {
  BG_ASSERT(!running());
  program_ = program;
  check_ = std::make_unique<ProgramCheck>(loop_, log_);
  if (access(program.path.c_str(), X_OK) != 0) {
    return refuse("no binary: " + system_error(program.path.c_str()).message());
  }
  std::vector<std::string> arguments = program.arguments;
  arguments.insert(arguments.end(), {"-t", "-q"});
  run(State::Testing, std::move(arguments), -1);
}

void Upgrade::run(State state, std::vector<std::string> arguments, int inherited) {
  state_ = state;
  const auto run = check_->run(program_.path, std::move(arguments), "BEAMGATE_STATE", inherited,
                               [this](const ProgramCheck::Ending& ending, const std::string& output) { on_end(ending, output); });
  if (!run.ok()) refuse(run.error().message());
}

void Upgrade::on_end(const ProgramCheck::Ending& ending, const std::string& output) {
  const std::string& failure = ending.failure;
  if (state_ != State::Idle && !ending.answered) return refuse(failure);
  const std::string name = program_.arguments.empty() ? program_.path : program_.arguments[0];
  switch (state_) {
    case State::Idle:
      return;
    case State::Testing:
      if (!failure.empty()) return refuse("it refuses the configuration: " + failure);
      return run(State::Asking, {name, "--handover-version"}, -1);
    case State::Asking:
      if (!failure.empty() || output != handover_version_line() + '\n') {
        return refuse("it does not speak this version's handover");
      }
      return rehearse();
    case State::Rehearsing:
      if (!failure.empty()) return refuse("it can't read the state: " + failure);
      cancel();
      return actions_.upgrade_checked();
  }
}

void Upgrade::rehearse() {
  auto file = write_file(actions_.state_now());
  if (!file.ok()) return refuse(file.error().message());
  rehearsed_ = std::move(file).value();
  const std::string name = program_.arguments.empty() ? program_.path : program_.arguments[0];
  run(State::Rehearsing, {name, "--handover-rehearsal"}, rehearsed_.get());
}

// Told in the next turn: begin() may be who refuses.
void Upgrade::refuse(const std::string& reason) {
  state_ = State::Asking;
  timer_ = loop_.after(0, [this, reason] {
    timer_.reset();
    cancel();
    actions_.upgrade_refused(reason);
  });
}

void Upgrade::cancel() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  check_.reset();
  rehearsed_.reset();
  state_ = State::Idle;
}

bool Upgrade::child_exited(pid_t pid, int status) {
  return check_ != nullptr && check_->child_exited(pid, status);
}

}  // namespace beamgate::master
