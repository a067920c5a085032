// Start check: each place that would keep a master from starting is named where it is said, and nothing is made there.
#include "master/start_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/config/load.h"

namespace beamgate::master {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StartCheck : public testing::Test {
 protected:
  StartCheck() {
    char name[] = "/tmp/beamgate-test-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~StartCheck() override { std::filesystem::remove_all(directory_); }

  // "line text" of each problem.
  std::vector<std::string> problems(const std::string& main, const std::string& servers = "") {
    const config::LoadResult loaded = config::load_text("# one\npid off;\n" + main + "\nhttp {\n" + servers + "\n}",
                                                        {.path = {}, .prefix = directory_, .global_directives = {}});
    EXPECT_TRUE(loaded.ok()) << config::report(loaded);
    std::vector<std::string> out;
    for (const StartProblem& problem : start_problems(*loaded.config)) {
      const auto said = loaded.said.find(problem.said);
      out.push_back((said == loaded.said.end() ? "?" : std::to_string(said->second.line)) + " " + problem.text);
    }
    return out;
  }
  std::vector<std::string> pid_problems(const std::string& path) {
    const config::LoadResult loaded = config::load_text("pid " + path + ";", {.path = {}, .prefix = directory_, .global_directives = {}});
    std::vector<std::string> out;
    for (const StartProblem& problem : start_problems(*loaded.config)) out.push_back(problem.said + ": " + problem.text);
    return out;
  }

  std::string directory_;
};

TEST_F(StartCheck, LogsAndDirectories) {
  EXPECT_THAT(problems("error_log new.log; working_directory .;"), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/new.log")) << "a test makes no files";
  EXPECT_THAT(problems("error_log syslog:server=127.0.0.1:1;"), IsEmpty());
  EXPECT_THAT(problems("error_log none/x.log;"), ElementsAre("3 the error log \"" + directory_ + "/none/x.log\" can't be opened: No such file or directory"));
  EXPECT_THAT(problems("error_log .;"), ElementsAre(HasSubstr("Is a directory")));
  EXPECT_THAT(problems("working_directory none;"), ElementsAre(HasSubstr("none\": No such file or directory")));
  std::ofstream(directory_ + "/file") << "";
  EXPECT_THAT(problems("working_directory file;"), ElementsAre(HasSubstr("Not a directory")));
}

TEST_F(StartCheck, ThePidFile) {
  EXPECT_THAT(pid_problems("beamgate.pid"), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/beamgate.pid"));
  std::ofstream(directory_ + "/beamgate.pid") << "1";
  EXPECT_THAT(pid_problems("beamgate.pid"), IsEmpty()) << "it is replaced";
  EXPECT_THAT(pid_problems("none/beamgate.pid"), ElementsAre(HasSubstr("No such file or directory")));
  EXPECT_THAT(pid_problems(directory_), ElementsAre("pid: the pid file \"" + directory_ + "\" can't be written: Is a directory"));
}

TEST_F(StartCheck, Sockets) {
  EXPECT_THAT(problems("control unix:c.sock;", "server { listen unix:s.sock; return 204; }"), IsEmpty());
  EXPECT_THAT(problems("control unix:none/c.sock;"), ElementsAre(HasSubstr("3 the control socket")));
  EXPECT_THAT(problems("", "server { listen unix:none/s.sock; return 204; }"), ElementsAre(HasSubstr("5 the socket")));
  std::ofstream(directory_ + "/file") << "";
  EXPECT_THAT(problems("control unix:file;"), ElementsAre(HasSubstr("no socket is in the way")));
}

}  // namespace
}  // namespace beamgate::master
