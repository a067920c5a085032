// The whole master with real processes: a test worker speaks the bus and answers each client with what it is.
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
#include <fstream>
#include <set>

#include "common/base/clock.h"
#include "common/ipc/channel.h"
#include "master/master.h"

namespace beamgate::master {
namespace {

constexpr int64_t kPatienceMs = 20'000;

// A worker in miniature: accepts, answers "slot pid generation" and closes; obeys its master.  What its
// configuration's directory is called tells it how to misbehave.
class TestWorker {
 public:
  explicit TestWorker(ipc::Handover&& handover)
      : handover_(std::move(handover)), channel_(std::move(handover_.bus)), generation_(handover_.generation) {}

  int run() {
    if (mood("exits")) return 3;
    channel_.send(ipc::Hello{.worker = handover_.worker, .pid = static_cast<uint32_t>(getpid())});
    channel_.send(ipc::Ready{generation_});
    handover_.metrics->add(metrics::Metric::ConnectionsActive, 5);
    while (!stopped_) {
      if (!channel_.flush().ok()) return 0;
      wait();
      accept_clients();
      const auto received = channel_.receive([this](const ipc::Frame& frame) { return handle(frame); });
      if (!received.ok()) return received.error().code == Code::Closed ? 0 : 4;
    }
    return 0;
  }

 private:
  bool mood(const char* what) const { return handover_.config->working_directory.find(what) != std::string::npos; }

  void wait() {
    std::vector<pollfd> fds{{channel_.descriptor(), POLLIN, 0}};
    for (const auto& listen : handover_.listens) fds.push_back({listen.fd.get(), POLLIN, 0});
    poll(fds.data(), fds.size(), -1);
  }

  void accept_clients() {
    for (const auto& listen : handover_.listens) {
      for (UniqueFd client(accept(listen.fd.get(), nullptr, nullptr)); client.valid();
           client.reset(accept(listen.fd.get(), nullptr, nullptr))) {
        const std::string text = std::to_string(handover_.slot) + ' ' + std::to_string(getpid()) + ' ' +
                                 std::to_string(generation_) + ' ' + std::to_string(getuid()) + '\n';
        EXPECT_EQ(write(client.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
      }
    }
  }

  bool handle(const ipc::Frame& frame) {
    switch (frame.kind) {
      case ipc::Kind::Prepare: return prepare(frame);
      case ipc::Kind::Commit: return commit(frame);
      case ipc::Kind::Abort:
        pending_.clear();
        return true;
      case ipc::Kind::Stop:
        stopped_ = true;
        return true;
      case ipc::Kind::ReopenLogs:
        return frame.descriptors->size() == 1;
      default:
        return false;
    }
  }

  bool prepare(const ipc::Frame& frame) {
    ipc::Prepare message;
    if (!ipc::decode(frame.body, message)) return false;
    if (frame.descriptors->size() != message.listens.size() + 1) return false;
    std::string text(64 << 10, '\0');
    text.resize(static_cast<size_t>(std::max<ssize_t>(read(frame.descriptors->front().get(), text.data(), text.size()), 0)));
    pending_config_ = config::load_text(text).config;
    for (size_t i = 0; i < message.listens.size(); ++i) {
      pending_.push_back({message.listens[i], std::move((*frame.descriptors)[i + 1])});
    }
    if (text.find("/dies") != text.npos) _exit(9);
    const bool accepted = pending_config_ != nullptr && text.find("/refused") == text.npos;
    channel_.send(ipc::Prepared{message.generation, accepted, accepted ? "" : "it does not please me"});
    return true;
  }

  bool commit(const ipc::Frame& frame) {
    ipc::Commit message;
    if (!ipc::decode(frame.body, message)) return false;
    generation_ = message.generation;
    std::set<uint32_t> wanted;
    for (const auto& server : pending_config_->http.servers) {
      for (const auto& listen : server.listens) wanted.insert(listen.id);
    }
    std::erase_if(handover_.listens, [&](const auto& listen) { return !wanted.contains(listen.id); });
    for (auto& listen : pending_) handover_.listens.push_back(std::move(listen));
    pending_.clear();
    return true;
  }

  ipc::Handover handover_;
  ipc::Channel channel_;
  uint32_t generation_;
  std::shared_ptr<const config::Config> pending_config_;
  std::vector<ipc::InheritedListen> pending_;
  bool stopped_ = false;
};

class MasterTest : public testing::Test {
 protected:
  MasterTest() {
    char name[] = "/tmp/beamgate-test-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~MasterTest() override {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    for (const char* file : {"/pid", "/log", "/conf"}) unlink((directory_ + file).c_str());
    rmdir(directory_.c_str());
  }

  void configure(const std::string& main, const std::string& http = "server { listen 127.0.0.1:0; return 204; }") {
    std::ofstream(directory_ + "/conf") << "pid " << directory_ << "/pid;\n" << process_ << '\n' << main << "\nevents {}\nhttp { " << http << " }\n";
  }

  config::LoadResult load() const { return config::load({.path = directory_ + "/conf"}); }

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

  [[noreturn]] void run_master(int log) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, 2);
    close(log);
    const auto loaded = load();
    if (!loaded.ok()) _exit(77);
    int status;
    {
      Master master(loaded.config, {.load = [this] { return load(); },
                                    .worker_main = [](ipc::Handover&& handover) -> int {
                                      const int result = TestWorker(std::move(handover)).run();
                                      return testing::Test::HasFailure() ? 5 : result;
                                    }});
      status = master.run();
    }
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

  // What a worker says to a client; empty when nobody answers.
  std::string ask(const std::string& port) {
    UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
    if (connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "";
    char bytes[100];
    const ssize_t got = recv(client.get(), bytes, sizeof bytes, MSG_WAITALL);
    return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : "";
  }

  // The process ids of the workers that answer, by slot.
  std::map<int, int> workers(int asks = 64) {
    std::map<int, int> out;
    for (int i = 0; i < asks; ++i) {
      int slot = -1, pid = 0;
      if (sscanf(ask(address_).c_str(), "%d %d", &slot, &pid) == 2) out[slot] = pid;
    }
    return out;
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
    if (!keeper) ASSERT_TRUE(see("worker_started slot=1"));
    ASSERT_TRUE(see("worker_ready slot=1"));
    RecordProperty(keeper ? "succeeded_ms" : "replaced_ms", std::to_string(monotonic_ms() - start_ms));
    EXPECT_LT(monotonic_ms() - start_ms, 1'000) << "100 ms, and what a busy machine adds";
    const auto after = workers();
    EXPECT_EQ(after.at(0), before.at(0));
    EXPECT_NE(after.at(1), before.at(1));
    EXPECT_EQ(stop(), 0);
    if (keeper) EXPECT_EQ(text_.find("worker_exited"), text_.npos);
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

  // Stopped first, so that nobody takes over from the one that dies before.
  std::ifstream children("/proc/" + std::to_string(standby) + "/task/" + std::to_string(standby) + "/children");
  std::vector<int> all{standby};
  for (int child; children >> child;) all.push_back(child);
  ASSERT_EQ(all.size(), 3u) << "keeper, standby, worker";
  for (const int pid : all) kill(pid, SIGSTOP);
  for (const int pid : all) kill(pid, SIGKILL);
  ASSERT_TRUE(see("worker_exited slot=1 .*signal=9"));
  ASSERT_TRUE(see("worker_started slot=1"));
  ASSERT_TRUE(see("worker_ready slot=1"));
  EXPECT_EQ(workers().at(0), before.at(0));
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

TEST_F(MasterTest, ReopensLogsAndDeclinesUpgrades) {
  configure("worker_processes 2;");
  start();
  kill(pid_, SIGUSR1);
  ASSERT_TRUE(see("logs_reopened"));
  kill(pid_, SIGUSR2);
  ASSERT_TRUE(see("upgrade_unavailable"));
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

}  // namespace
}  // namespace beamgate::master
