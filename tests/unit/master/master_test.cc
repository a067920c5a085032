// The whole master with real processes: a test worker (test_master.h) answers each client with what it is.
// Each test forks a master, reads its log, connects as a client and ends it; the master must exit cleanly.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <regex.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "common/base/clock.h"
#include "master/master.h"
#include "tests/unit/master/test_master.h"

namespace beamgate::master {
namespace {

constexpr int64_t kPatienceMs = 20'000;

class MasterTest : public testing::Test {
 protected:
  MasterTest() {
    char name[] = "/tmp/beamgate-test-XXXXXX";
    directory_ = mkdtemp(name);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  }
  ~MasterTest() override {
    end_all();
    for (const char* file : {"/pid", "/log", "/conf", "/binary"}) unlink((directory_ + file).c_str());
    rmdir(directory_.c_str());
  }

  void configure(const std::string& main, const std::string& http = "server { listen 127.0.0.1:0; return 204; }") {
    std::ofstream(directory_ + "/conf") << "pid " << directory_ << "/pid;\n" << process_ << '\n' << main << "\nevents {}\nhttp { " << http << " }\n";
  }

  void start(bool serving = true) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    text_.clear();
    looked_ = 0;
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) run_master(ends[1]);
    close(ends[1]);
    log_.reset(ends[0]);
    if (!serving) return;
    ASSERT_TRUE(see("ready workers=")) << text_;
    address_ = found_in(text_, "listening address=127.0.0.1:([0-9]+)");
  }

  // A master that is killed leaves keepers and workers that wait for the next one; they have become our children.
  static void end_all() {
    do {
      for (const int child : children_of(getpid())) kill(child, SIGKILL);
    } while (waitpid(-1, nullptr, 0) > 0);
  }

  static std::vector<int> children_of(int pid) {
    std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
    return {std::istream_iterator<int>(children), {}};
  }

  [[noreturn]] void run_master(int log) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv(kTestDirectory, directory_.c_str(), 1);
    dup2(log, 2);
    close(log);
    const int status = run_test_master(directory_, {directory_ + "/binary", {directory_ + "/binary"}});
    exit(status);  // Not _exit(): a leak checker has its say.
  }

  // Waits until the log, from where it was looked at last, has this.
  bool see(const std::string& pattern, int count = 1) {
    const int64_t end_ms = monotonic_ms() + kPatienceMs;
    for (int found = 0;;) {
      for (Span match; found < count && search(pattern, text_, looked_, match); ++found) looked_ = match.end;
      if (found == count) return true;
      pollfd fd{log_.get(), POLLIN, 0};
      if (poll(&fd, 1, static_cast<int>(std::max<int64_t>(end_ms - monotonic_ms(), 0))) != 1) return false;
      char bytes[4096];
      const ssize_t got = read(log_.get(), bytes, sizeof bytes);
      if (got <= 0) return false;
      text_.append(bytes, static_cast<size_t>(got));
    }
  }

  // Nobody holds the other end any more.
  bool log_ends() {
    pollfd fd{log_.get(), POLLIN, 0};
    char bytes[4096];
    while (poll(&fd, 1, kPatienceMs) == 1) {
      if (read(log_.get(), bytes, sizeof bytes) == 0) return true;
    }
    return false;
  }

  // Looks at what has come, without waiting.
  bool has_now(const std::string& text, size_t from) {
    pollfd fd{log_.get(), POLLIN, 0};
    char bytes[4096];
    while (poll(&fd, 1, 0) == 1) {
      const ssize_t got = read(log_.get(), bytes, sizeof bytes);
      if (got <= 0) break;
      text_.append(bytes, static_cast<size_t>(got));
    }
    return text_.find(text, from) != text_.npos;
  }

  struct Span {
    size_t begin = 0, end = 0;
    std::string group;  // The first one.
  };

  // POSIX extended; "." matches within a line only.
  static bool search(const std::string& pattern, const std::string& text, size_t from, Span& out) {
    regex_t expression;
    EXPECT_EQ(regcomp(&expression, pattern.c_str(), REG_EXTENDED | REG_NEWLINE), 0) << pattern;
    regmatch_t groups[2] = {{-1, -1}, {-1, -1}};
    const bool found = regexec(&expression, text.c_str() + from, 2, groups, 0) == 0;
    regfree(&expression);
    if (!found) return false;
    const auto at = [from](regoff_t offset) { return from + static_cast<size_t>(offset); };
    out = {at(groups[0].rm_so), at(groups[0].rm_eo), ""};
    if (groups[1].rm_so >= 0) out.group = text.substr(at(groups[1].rm_so), at(groups[1].rm_eo) - at(groups[1].rm_so));
    return true;
  }

  static std::string found_in(const std::string& text, const std::string& pattern) {
    Span match;
    return search(pattern, text, 0, match) ? match.group : "";
  }

  static UniqueFd connect_to(const std::string& port) {
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
    if (connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) client.reset();
    return client;
  }

  // Empty when the other end is gone.
  static std::string line_from(const UniqueFd& client) {
    std::string out;
    for (char byte = 0; byte != '\n' && recv(client.get(), &byte, 1, 0) == 1;) out += byte;
    return out;
  }

  // What a worker says to a client; empty when nobody answers.
  std::string ask(const std::string& port) { return line_from(connect_to(port)); }

  // The process ids of the workers that answer, by slot.
  std::map<int, int> workers(int asks = 64) {
    std::map<int, int> out;
    for (int i = 0; i < asks; ++i) {
      int slot = -1, pid = 0;
      if (sscanf(ask(address_).c_str(), "%d %d", &slot, &pid) == 2) out[slot] = pid;
    }
    return out;
  }

  // A keeper with all its children, none of which can help another any more.
  static std::vector<int> stop_slot(int keeper) {
    std::vector<int> all = children_of(keeper);
    all.insert(all.begin(), keeper);
    EXPECT_EQ(all.size(), 3u) << "keeper, standby, worker";
    for (const int pid : all) kill(pid, SIGSTOP);
    return all;
  }

  int stop(int signal = SIGTERM) {
    kill(pid_, signal);
    return wait_exit();
  }
  int wait_exit() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string process_ = "daemon off; error_log stderr info;";
  std::string directory_, text_, address_;
  size_t looked_ = 0;
  UniqueFd log_;
  pid_t pid_ = 0;
};

TEST_F(MasterTest, ServesWithAllItsWorkersAndStops) {
  for (const int signal : {SIGTERM, SIGQUIT, SIGINT}) {
    configure("worker_processes 3;");
    start();
    EXPECT_EQ(workers().size(), 3u);
    EXPECT_EQ(PidFile::read(directory_ + "/pid").value(), pid_);
    EXPECT_EQ(stop(signal), 0);
    EXPECT_FALSE(PidFile::read(directory_ + "/pid").ok());
  }
}

TEST_F(MasterTest, ReplacesAKilledWorkerWithin100Ms) {
  for (const bool keeper : {false, true}) {
    configure(std::string("worker_processes 2; worker_keeper ") + (keeper ? "on;" : "off;"));
    start();
    const auto before = workers();
    ASSERT_EQ(before.size(), 2u);
    const int64_t start_ms = monotonic_ms();
    kill(before.at(1), SIGKILL);
    ASSERT_TRUE(see(keeper ? "worker_died slot=1 .*signal=9" : "worker_exited slot=1 .*signal=9"));
    if (!keeper) {
      ASSERT_TRUE(see("worker_started slot=1"));
    }
    ASSERT_TRUE(see("worker_ready slot=1"));
    RecordProperty(keeper ? "succeeded_ms" : "replaced_ms", std::to_string(monotonic_ms() - start_ms));
    EXPECT_LT(monotonic_ms() - start_ms, 1'000) << "100 ms, and what a busy machine adds";
    const auto after = workers();
    EXPECT_EQ(after.at(0), before.at(0));
    EXPECT_NE(after.at(1), before.at(1));
    EXPECT_EQ(stop(), 0);
    if (keeper) {
      EXPECT_EQ(text_.find("worker_exited"), text_.npos) << text_;
    }
  }
}

TEST_F(MasterTest, ASlotSurvivesItsKeeperButNotAllOfItsProcesses) {
  configure("worker_processes 2;");
  start();
  const auto before = workers();
  const int keeper = std::stoi(found_in(text_, "worker_started slot=1 .*child=([0-9]+)"));
  EXPECT_NE(keeper, before.at(1));
  kill(keeper, SIGKILL);
  ASSERT_TRUE(see("keeper_died slot=1 .*signal=9"));
  EXPECT_EQ(workers(), before) << "the worker has not noticed";
  const int standby = std::stoi(found_in(text_, "keeper_died slot=1 .*survivor=([0-9]+)"));
  kill(before.at(1), SIGKILL);
  ASSERT_TRUE(see("worker_died slot=1"));
  ASSERT_TRUE(see("worker_ready slot=1"));
  const auto after = workers();
  EXPECT_EQ(after.at(0), before.at(0));
  ASSERT_NE(after.at(1), before.at(1));

  // Its place is taken by a new process in the slot, or in the twin slot when the master saw the keeper's death first.
  for (const int pid : stop_slot(standby)) kill(pid, SIGKILL);
  ASSERT_TRUE(see("worker_started slot=(1|129) "));
  ASSERT_TRUE(see("worker_ready slot=(1|129)$"));
  const auto last = workers();
  EXPECT_EQ(last.size(), 2u);
  EXPECT_EQ(last.at(0), before.at(0));
  EXPECT_EQ(last.count(1) + last.count(129), 1u);
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, ASuccessorOfAWorkerThatWasToldToStopStopsToo) {
  configure("worker_processes 1;");
  start();
  const int worker = workers().at(0);
  kill(worker, SIGSTOP);
  kill(pid_, SIGQUIT);
  ASSERT_TRUE(see("stopping graceful=yes"));
  kill(worker, SIGKILL);
  ASSERT_TRUE(see("worker_died slot=0"));
  EXPECT_EQ(wait_exit(), 0);
}

TEST_F(MasterTest, WorkersRunAsTheirUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give its workers another user";
  configure("worker_processes 1; user daemon;");
  start();
  int slot, pid, generation, uid = 0;
  ASSERT_EQ(sscanf(ask(address_).c_str(), "%d %d %d %d", &slot, &pid, &generation, &uid), 4);
  EXPECT_EQ(static_cast<uid_t>(uid), find_identity("daemon", "").value().uid);
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, ReloadsWithoutLosingSocketsOrWorkers) {
  configure("worker_processes 2;");
  start();
  const auto before = workers();
  configure("worker_processes 4;",
            "server { listen 127.0.0.1:0; return 204; } server { listen 127.0.0.2:0; return 204; }");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reloaded generation=2 workers=4")) << text_;
  ASSERT_TRUE(see("worker_ready slot=", 2));
  const auto grown = workers(200);
  EXPECT_EQ(grown.size(), 4u);
  EXPECT_EQ(grown.at(0), before.at(0));
  EXPECT_NE(ask(address_).find(" 2 "), std::string::npos) << "the new generation";

  // Clients keep coming while two slots go: each of them is answered.
  const size_t from = text_.size();
  configure("worker_processes 2;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reloaded generation=3 workers=2"));
  std::string slots;
  while (!has_now("worker_exited slot=2", from) || !has_now("worker_exited slot=3", from)) {
    const std::string answer = ask(address_);
    ASSERT_NE(answer, "");
    slots += answer[0];
  }
  for (int i = 0; i < 100; ++i) EXPECT_LT(ask(address_)[0], '2');
  EXPECT_GT(slots.size(), 20u);
  EXPECT_EQ(stop(SIGQUIT), 0);
}

TEST_F(MasterTest, AWrongConfigurationChangesNothing) {
  configure("worker_processes 2;");
  start();
  const auto before = workers();
  configure("worker_processes 2; no_such_directive on;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("config_error what=.*conf:3.*no_such_directive"));
  ASSERT_TRUE(see("reload_failed"));
  EXPECT_EQ(workers(), before);
  EXPECT_NE(ask(address_).find(" 1 "), std::string::npos);
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, AListenThatCannotBeBoundChangesNothing) {
  configure("worker_processes 2;");
  start();
  UniqueFd taken(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken.get(), 1), 0);
  ASSERT_EQ(getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  configure("worker_processes 2;", "server { listen 127.0.0.1:0; listen 127.0.0.1:" + port + "; return 204; }");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reload_failed reason=.*Address already in use.* address=127.0.0.1:" + port));
  EXPECT_EQ(workers().size(), 2u);
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, ARefusalOrADeathOfAWorkerAbortsTheReload) {
  configure("worker_processes 2;");
  start();
  configure("worker_processes 2; working_directory /refused;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reload_failed reason=\"it does not please me\""));
  configure("worker_processes 2; working_directory /dies;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reload_failed reason=\"a worker died while it prepared\""));
  ASSERT_TRUE(see("worker_ready slot=", 2));
  EXPECT_EQ(workers().size(), 2u);
  EXPECT_NE(ask(address_).find(" 1 "), std::string::npos);
  configure("worker_processes 1;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reloaded generation=4 workers=1")) << "and it can still reload";
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, ReopensLogs) {
  configure("worker_processes 2;");
  start();
  kill(pid_, SIGUSR1);
  ASSERT_TRUE(see("logs_reopened"));
  EXPECT_EQ(workers().size(), 2u) << "the workers took the descriptor";
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterTest, FailsToStartWhenItCannotServe) {
  mkdir((directory_ + "/exits").c_str(), 0755);
  configure("worker_processes 2; working_directory " + directory_ + "/exits;");
  start(false);
  EXPECT_TRUE(see("start_failed")) << text_;
  EXPECT_EQ(wait_exit(), 1);
  rmdir((directory_ + "/exits").c_str());

  configure("worker_processes 1;", "server { listen unix:" + directory_ + "/conf; return 204; }");
  start(false);
  EXPECT_TRUE(see("bind_failed what=unix:" + directory_ + "/conf")) << text_;
  EXPECT_EQ(wait_exit(), 1);
}

TEST_F(MasterTest, ASecondMasterIsRefusedByThePidFile) {
  configure("worker_processes 1;");
  start();
  // The holder must be one of this program, which is known by the name of the process.
  std::ifstream comm("/proc/" + std::to_string(pid_) + "/comm");
  std::string name;
  std::getline(comm, name);
  EXPECT_EQ(PidFile::create(directory_ + "/pid", name).error().code, Code::Denied);
  EXPECT_EQ(stop(), 0);
}

// The end of a process that is not our child.
void wait_for_end(pid_t pid) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return;
  pollfd fd{process.get(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, kPatienceMs), 1);
}

TEST_F(MasterTest, ADaemonLetsGoOfItsStarterWhenItServes) {
  process_ = "daemon on; error_log " + directory_ + "/log info;";
  configure("worker_processes 2;");
  start(false);
  EXPECT_EQ(wait_exit(), 0);
  const auto daemon = PidFile::read(directory_ + "/pid");
  ASSERT_TRUE(daemon.ok());
  EXPECT_TRUE(log_ends()) << "standard error is closed, by the workers too: " << text_;
  std::ifstream log(directory_ + "/log");
  text_.assign(std::istreambuf_iterator<char>(log), {});
  EXPECT_NE(text_.find("ready workers=2"), text_.npos);
  address_ = found_in(text_, "listening address=127.0.0.1:([0-9]+)");
  EXPECT_EQ(workers().size(), 2u);
  kill(daemon.value(), SIGTERM);
  wait_for_end(daemon.value());
  EXPECT_FALSE(PidFile::read(directory_ + "/pid").ok());
}

TEST_F(MasterTest, ADaemonThatCannotServeSaysSoToItsStarter) {
  process_ = "daemon on; error_log " + directory_ + "/log info;";
  configure("worker_processes 2;", "server { listen unix:" + directory_ + "/conf; return 204; }");
  start(false);
  EXPECT_TRUE(see("bind_failed what=unix:")) << text_;
  EXPECT_EQ(wait_exit(), 1);
}

TEST_F(MasterTest, ADaemonWhoseWorkersDieFailsToo) {
  process_ = "daemon on; error_log " + directory_ + "/log info;";
  mkdir((directory_ + "/exits").c_str(), 0755);
  configure("worker_processes 2; working_directory " + directory_ + "/exits;");
  start(false);
  EXPECT_TRUE(see("start_failed")) << text_;
  EXPECT_EQ(wait_exit(), 1);
  rmdir((directory_ + "/exits").c_str());
}

// Upgrades: the new binary is this program again, behind a script that says how it behaves.
class MasterUpgradeTest : public MasterTest {
 protected:
  MasterUpgradeTest() {
    chmod(directory_.c_str(), 0755);
    mkdir((directory_ + "/holds").c_str(), 0755);
    general_ = "working_directory " + directory_ + "/holds;";
  }
  ~MasterUpgradeTest() override { rmdir((directory_ + "/holds").c_str()); }

  // Each answer is a piece of shell.
  void install(const std::string& run, const std::string& test = "exit 0",
               const std::string& version = "echo " + handover_version_line(), const std::string& rehearsal = "") {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string binary = directory_ + "/binary";
    std::ofstream(binary + "~") << "#!/bin/sh\ncase \"$*\" in\n--handover-version) " << version
                                << " ;;\n--handover-rehearsal) "
                                << (rehearsal.empty() ? "exec " + self + " --handover-rehearsal" : rehearsal)
                                << " ;;\n*-t*) " << test << " ;;\n*) " << run << " exec " << self << " ;;\nesac\n";
    chmod((binary + "~").c_str(), 0755);
    rename((binary + "~").c_str(), binary.c_str());
  }

  // Clients that stay; each is greeted.
  void hold_clients(int count) {
    for (int i = 0; i < count; ++i) {
      clients_.push_back(connect_to(address_));
      EXPECT_NE(line_from(clients_.back()), "");
    }
  }
  // How many of them each slot serves.
  std::map<int, int> served() {
    std::map<int, int> out;
    for (const UniqueFd& client : clients_) {
      EXPECT_EQ(send(client.get(), "x", 1, MSG_NOSIGNAL), 1);
      int slot = -1;
      EXPECT_EQ(sscanf(line_from(client).c_str(), "%d", &slot), 1) << "a client was lost";
      ++out[slot];
    }
    return out;
  }

  void upgrade() { kill(pid_, SIGUSR2); }

  std::string general_;
  std::vector<UniqueFd> clients_;
};

TEST_F(MasterUpgradeTest, ReplacesMasterAndWorkersAndKeepsEveryClient) {
  configure("worker_processes 2;" + general_);
  install("");
  start();
  hold_clients(20);
  auto before = served();
  EXPECT_EQ(before[0] + before[1], 20);
  upgrade();
  ASSERT_TRUE(see("upgraded workers=2")) << text_;
  auto after = served();
  EXPECT_EQ(after[128], before[0]);
  EXPECT_EQ(after[129], before[1]);
  EXPECT_EQ(PidFile::read(directory_ + "/pid").value(), pid_) << "the same process";
  hold_clients(10);

  // And again, back into the slots it came from; a reload works between and after.
  configure("worker_processes 3;" + general_);
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("resized workers=3"));
  upgrade();
  ASSERT_TRUE(see("upgraded workers=3")) << text_;
  after = served();
  EXPECT_EQ(after[0] + after[1] + after[130], 30);
  for (const int slot : {0, 1, 130}) EXPECT_NEAR(after[slot], 10, 1);
  configure("worker_processes 1;" + general_);
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("resized workers=1"));
  EXPECT_EQ(served()[0], 30);
  EXPECT_EQ(stop(SIGQUIT), 0);
}

TEST_F(MasterUpgradeTest, GoesBackWhenTheNewWorkersDie) {
  configure("worker_processes 2;" + general_);
  install("BEAMGATE_TEST_MOOD=exits");
  start();
  hold_clients(10);
  const auto before = served();
  upgrade();
  ASSERT_TRUE(see("upgrade_undone reason=\"the new worker died before it was ready\"")) << text_;
  ASSERT_TRUE(see("upgrade_failed reason=\"the new worker died before it was ready\"")) << text_;
  EXPECT_EQ(served(), before);
  EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(pid_) + "/exe"), std::filesystem::read_symlink("/proc/self/exe"));
  // The same with a good one.
  install("BEAMGATE_TEST_MOOD=");
  upgrade();
  ASSERT_TRUE(see("upgraded workers=2")) << text_;
  EXPECT_EQ(served().at(128), before.at(0));
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterUpgradeTest, GoesBackWhenClientsCannotMove) {
  configure("worker_processes 2;" + general_);
  install("BEAMGATE_TEST_MOOD=refuses");
  start();
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=")) << text_;
  for (int round = 0; round < 20 && served().size() < 2; ++round) hold_clients(10);  // By chance, one may have all.
  EXPECT_EQ(served().size(), 2u) << "the old workers accept again";
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterUpgradeTest, ABinaryThatIsNotFitChangesNothing) {
  configure("worker_processes 2;" + general_);
  start();
  hold_clients(4);
  const auto before = served();
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"no binary: .*No such file")) << text_;
  install("", "echo a wrong directive >&2; exit 1");
  upgrade();
  ASSERT_TRUE(see("program_says line=\"a wrong directive\"")) << text_;
  ASSERT_TRUE(see("upgrade_failed reason=\"it refuses the configuration: status 1\"")) << text_;
  install("", "exit 0", "echo " + handover_version_line() + "9");
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"it does not speak this version's handover\"")) << text_;
  std::ofstream(directory_ + "/binary") << "neither a program nor a script";
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"it can't be executed: Exec format error\"")) << text_;
  install("", "exit 0", "exit 1");
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"it does not speak this version's handover\"")) << text_;
  install("", "exit 0", "echo " + handover_version_line(), "kill -9 $$");
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"it was ended by signal 9\"")) << text_;
  // Fit for every question, but no program: the exec fails.
  const std::string binary = directory_ + "/binary";
  install("", "exit 0", "echo " + handover_version_line(), "echo '#!/no/such/interpreter' >" + binary);
  upgrade();
  ASSERT_TRUE(see("upgrade_failed reason=\"can't execute the binary: No such file")) << text_;
  EXPECT_EQ(served(), before);
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterUpgradeTest, ReloadsAndUpgradesWaitForEachOther) {
  configure("worker_processes 1;" + general_);
  // The test of the configuration waits until the reload has been queued.
  ASSERT_EQ(mkfifo((directory_ + "/gate").c_str(), 0600), 0);
  install("", "read line <" + directory_ + "/gate; exit 0");
  start();
  hold_clients(3);
  upgrade();
  ASSERT_TRUE(see("upgrade_started"));
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reload_queued"));
  upgrade();
  ASSERT_TRUE(see("upgrade_queued"));
  std::ofstream(directory_ + "/gate") << "go\n";
  ASSERT_TRUE(see("upgraded workers=1")) << text_;
  ASSERT_TRUE(see("reloaded generation=2")) << text_;
  ASSERT_TRUE(see("upgrade_started"));
  std::ofstream(directory_ + "/gate") << "go\n";
  ASSERT_TRUE(see("upgraded workers=1")) << text_;
  EXPECT_EQ(served().at(0), 3);
  unlink((directory_ + "/gate").c_str());
  EXPECT_EQ(stop(), 0);
}

TEST_F(MasterUpgradeTest, AWorkerWithoutKeepersIsRepaired) {
  configure("worker_processes 2;" + general_);
  start();
  hold_clients(20);
  const auto before = served();
  const int worker = workers().at(1);
  for (const int pid : stop_slot(std::stoi(found_in(text_, "worker_started slot=1 .*child=([0-9]+)")))) {
    kill(pid, pid == worker ? SIGCONT : SIGKILL);
  }
  ASSERT_TRUE(see("keepers_lost slot=1")) << text_;
  ASSERT_TRUE(see("worker_repaired slot=1 by=129 left=0")) << text_;
  auto after = served();
  EXPECT_EQ(after[0], before.at(0));
  EXPECT_EQ(after[129], before.at(1));
  ASSERT_TRUE(see("worker_exited slot=1 "));

  // A reload leaves it where it is, and an upgrade brings it back.
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("reloaded generation=2"));
  EXPECT_EQ(served(), after);
  install("");
  upgrade();
  ASSERT_TRUE(see("upgraded workers=2")) << text_;
  after = served();
  EXPECT_EQ(after[128], before.at(0));
  EXPECT_EQ(after[1], before.at(1));
  EXPECT_EQ(stop(SIGQUIT), 0);
}

// Workers of this kind have five clients that nobody can move.
TEST_F(MasterUpgradeTest, ARepairedWorkerWhoseClientsStayGoesBeforeAnUpgrade) {
  configure("worker_processes 1;");
  start();
  const int worker = workers().at(0);
  for (const int pid : stop_slot(std::stoi(found_in(text_, "worker_started slot=0 .*child=([0-9]+)")))) {
    kill(pid, pid == worker ? SIGCONT : SIGKILL);
  }
  ASSERT_TRUE(see("worker_repaired slot=0 by=128 left=5")) << text_;
  EXPECT_EQ(workers().size(), 1u) << "it accepts nobody";
  configure("worker_processes 2;");
  kill(pid_, SIGHUP);
  ASSERT_TRUE(see("resized workers=3"));
  EXPECT_EQ(kill(worker, 0), 0);
  EXPECT_EQ(workers().size(), 2u);
  install("");
  upgrade();
  ASSERT_TRUE(see("worker_exited slot=0 "));
  ASSERT_TRUE(see("upgraded workers=2")) << text_;
  EXPECT_EQ(stop(), 0);
}

}  // namespace
}  // namespace beamgate::master
