#include "master/process_title.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace beamgate::master {

ProcessTitle::ProcessTitle(int argc, char** argv) : argv_(argv), old_environment_(environ) {
  char* end = argv[0];
  // The strings stand one behind the other; what does not follow directly belongs to somebody else.
  const auto extend = [&end](char* text) {
    if (text == end) end = text + strlen(text) + 1;
  };
  for (int i = 0; i < argc; ++i) {
    if (i > 0) command_line_ += ' ';
    command_line_ += argv[i];
    extend(argv[i]);
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment_.emplace_back(*variable);
    extend(*variable);
  }
  for (std::string& variable : environment_) environment_pointers_.push_back(variable.data());
  environment_pointers_.push_back(nullptr);
  environ = environment_pointers_.data();
  room_ = static_cast<size_t>(end - argv[0]);
}

ProcessTitle::~ProcessTitle() {
  // The old strings may have been overwritten by a title; an empty environment is better than a false one.
  if (environ == environment_pointers_.data()) {
    *old_environment_ = nullptr;
    environ = old_environment_;
  }
}

void ProcessTitle::set(const std::string& title) {
  prctl(PR_SET_NAME, "beamgate", 0, 0, 0);
  if (room_ == 0) return;
  const std::string text = ("beamgate: " + title).substr(0, room_ - 1);
  memcpy(argv_[0], text.data(), text.size());
  memset(argv_[0] + text.size(), 0, room_ - text.size());
  argv_[1] = nullptr;
}

}  // namespace beamgate::master
