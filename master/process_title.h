// ProcessTitle: what ps shows for this process.
//
// The only place to write it is where the kernel put the arguments and the environment, so the environment
// moves to the heap first; getenv() goes on to work.  A forked child sets its own title through its copy.
// Owner      main(), before anything keeps a pointer into argv or environ.
// Limits     The title is cut to the room there is.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace beamgate::master {

class ProcessTitle {
 public:
  ProcessTitle(int argc, char** argv);
  ~ProcessTitle();
  ProcessTitle(const ProcessTitle&) = delete;
  ProcessTitle& operator=(const ProcessTitle&) = delete;

  // "beamgate: " and this; the short name of the process becomes "beamgate".
  void set(const std::string& title);

  const std::string& command_line() const { return command_line_; }  // As it was started, with spaces.

 private:
  char** argv_;
  size_t room_ = 0;                // Bytes from argv_[0] on that are ours to write.
  std::string command_line_;
  std::vector<std::string> environment_;
  std::vector<char*> environment_pointers_;
  char** old_environment_;
};

}  // namespace beamgate::master
