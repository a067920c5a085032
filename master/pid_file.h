// PidFile: tells the master's process id to those who want to signal it.
//
// Owner      Master; the destructor removes the file when it is still ours.
// Errors     Denied when a living process of this program holds it; System when it can't be written.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "common/base/result.h"

namespace beamgate::master {

class PidFile {
 public:
  // Written whole under another name and renamed, so that no reader sees half of it.
  // program: the name of the process (/proc/PID/stat) by which a living holder is told from a number that
  // another program got since.
  static Result<std::unique_ptr<PidFile>> create(const std::string& path, const std::string& program);
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // The process id in the file; NotFound when there is no file, Invalid when it holds something else.
  static Result<pid_t> read(const std::string& path);
  // As read(), but NotFound also when that process has ended, if only as a zombie, or is another program.
  static Result<pid_t> read_living(const std::string& path, const std::string& program);

 private:
  explicit PidFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace beamgate::master
