// What a process can do after it has entered the sandbox, and what becomes of it when it tries more.  Each case has a
// child of its own, since nobody comes out again.
#include "worker/sandbox/sandbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netdb.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "common/base/capabilities.h"
#include "worker/sandbox/refusals.h"
#include "worker/sandbox/system_calls.h"

namespace beamgate::sandbox {
namespace {

using ::testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// The wait status of a child that does this; true is exit status 0.
int in_child(const std::function<bool()>& act) {
  const pid_t child = fork();
  if (child == 0) _exit(act() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

int in_sandbox(const std::function<bool()>& act) {
  return in_child([&] {
    for (const std::string& missing : enter()) fprintf(stderr, "missing: %s\n", missing.c_str());
    return act();
  });
}

bool fails_with(int error, long result) { return result == -1 && errno == error; }

std::string status_of_self() {
  std::ifstream file("/proc/self/status");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Sandbox, IsSeenInTheProcessesStatus) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(in_sandbox([&] {
              const std::string text = status_of_self();
              return write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
            }),
            0);
  std::string text(64 << 10, '\0');
  text.resize(static_cast<size_t>(std::max<ssize_t>(read(ends[0], text.data(), text.size()), 0)));
  EXPECT_THAT(text, HasSubstr("\nSeccomp:\t2\n"));
  EXPECT_THAT(text, HasSubstr("\nNoNewPrivs:\t1\n"));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + set + ":\t0000000000000000\n"));
  }
  if (geteuid() == 0) {
    EXPECT_THAT(text, HasSubstr("\nCapBnd:\t0000000000000000\n"));
  }
}

TEST(Sandbox, LetsAWorkerWork) {
  EXPECT_EQ(in_sandbox([] {
              bool ran = false;
              std::thread([&] { ran = true; }).join();
              int pair[2];
              const int file = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
              const int poller = epoll_create1(EPOLL_CLOEXEC);
              addrinfo* found = nullptr;
              const bool resolved = getaddrinfo("localhost", nullptr, nullptr, &found) == 0;
              if (resolved) freeaddrinfo(found);
              return ran && resolved && file >= 0 && poller >= 0 &&
                     socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socket(AF_INET6, SOCK_STREAM, 0) >= 0 &&
                     memfd_create("x", MFD_CLOEXEC) >= 0 && take_refusals().calls == 0;
            }),
            0);
}

TEST(Sandbox, AnOrdinaryCallThatIsNotOnTheListFailsAndIsTold) {
  EXPECT_EQ(in_sandbox([] {
              const bool refused = fails_with(EPERM, mkdir("/tmp/never", 0700)) &&
                                   fails_with(EPERM, mkdir("/tmp/never", 0700)) && fails_with(EPERM, listen(0, 1));
              const Refusals told = take_refusals();
              return refused && told.calls == 3 && told.numbers.size() == 2 && take_refusals().calls == 0 &&
                     name_of(SYS_mkdirat) == "mkdirat";
            }),
            0);
}

TEST(Sandbox, ACallOfTheFutureIsNotThere) {
  EXPECT_EQ(in_sandbox([] {
              return fails_with(ENOSYS, syscall(SYS_clone3, nullptr, 0)) && fails_with(ENOSYS, syscall(425, 8, nullptr)) &&
                     fails_with(ENOSYS, syscall(kNewestKnown + 1)) && fails_with(ENOSYS, syscall(900));
            }),
            0);
}

TEST(Sandbox, MemoryIsNeverWritableAndExecutable) {
  EXPECT_EQ(in_sandbox([] {
              const auto map = [](int protection) { return mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
              const bool refused = map(PROT_READ | PROT_WRITE | PROT_EXEC) == MAP_FAILED && errno == EPERM;
              void* page = map(PROT_READ | PROT_WRITE);
              return refused && page != MAP_FAILED && fails_with(EPERM, mprotect(page, 4096, PROT_READ | PROT_EXEC)) &&
                     mprotect(page, 4096, PROT_READ) == 0;
            }),
            0);
}

TEST(Sandbox, OtherFamiliesOfSocketsAreRefused) {
  EXPECT_EQ(in_sandbox([] {
              return fails_with(EPERM, socket(AF_PACKET, SOCK_RAW, 0)) && fails_with(EPERM, socket(AF_ALG, SOCK_SEQPACKET, 0)) &&
                     fails_with(EPERM, socket(AF_VSOCK, SOCK_STREAM, 0)) && fails_with(EPERM, socket(AF_NETLINK, SOCK_RAW, 9));
            }),
            0);
}

TEST(Sandbox, ThereAreNoOtherProcesses) {
  if (kSanitized) GTEST_SKIP() << "sanitizers clone and signal";
  EXPECT_EQ(in_sandbox([] {
              return fails_with(EPERM, fork()) && fails_with(EPERM, kill(getppid(), SIGCONT)) &&
                     fails_with(EPERM, syscall(SYS_tgkill, getppid(), getppid(), SIGCONT)) && kill(getpid(), SIGCONT) == 0;
            }),
            0);
}

TEST(Sandbox, WhatOnlyAnAttackerCallsEndsTheWorker) {
  const std::function<void()> attacks[] = {
      [] { execl("/bin/true", "true", nullptr); },
      [] { static_cast<void>(!setuid(0)); },
      [] { syscall(SYS_bpf, 0, nullptr, 0); },
      [] { syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); },
  };
  for (const auto& attack : attacks) {
    const int status = in_sandbox([&] {
      attack();
      return true;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  }
}

TEST(Sandbox, ItsHandlerStays) {
  EXPECT_EQ(in_sandbox([] {
              // The kernel takes 32 bits of a signal's number; what stands above them must not fool the filter.
              struct { void* handler; unsigned long flags; void* restorer; uint64_t mask; } own{};
              const auto set = [&](uint64_t signal) { return syscall(SYS_rt_sigaction, signal, &own, nullptr, 8); };
              return fails_with(EPERM, set(SIGSYS)) && fails_with(EPERM, set(SIGSYS | 1ull << 40)) && set(SIGUSR1) == 0;
            }),
            0);
}

// As in a container that forbids it, or on a kernel without.
TEST(Sandbox, WhatTheKernelDoesNotHaveIsToldAndDoneWithout) {
  EXPECT_EQ(in_child([] {
              const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
              if (seccomp_load(filter) != 0) return false;
              seccomp_release(filter);
              return enter().size() == 1 && fails_with(EPERM, mkdir("/tmp/never", 0700));
            }),
            0);
  EXPECT_EQ(in_child([] {
              const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(seccomp), 0);
              seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
              if (seccomp_load(filter) != 0) return false;
              // There is no filter that would say no: listen(2) finds out itself that this is no socket.
              return enter().size() == 1 && fails_with(ENOTSOCK, listen(memfd_create("x", 0), 1));
            }),
            0);
}

// Both are one user's, and neither has capabilities: what keeps them apart is the domain.
TEST(Sandbox, AnotherProcessesMemoryIsOutOfReach) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t other = fork();
  if (other == 0) {
    static_cast<void>(drop_capabilities().ok());
    close(ends[1]);
    char byte;
    _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(ends[0]);
  const std::string path = "/proc/" + std::to_string(other) + "/mem";
  const auto opens = [&] { return open(path.c_str(), O_RDWR | O_CLOEXEC) >= 0; };
  // Until the other one has dropped them.
  int outside = 1;
  for (int i = 0; i < 10'000 && outside != 0; ++i) {
    outside = in_child([&] { return drop_capabilities().ok() && opens(); });
  }
  if (outside != 0) {
    close(ends[1]);
    waitpid(other, nullptr, 0);
    GTEST_SKIP() << "this system keeps them apart by itself";
  }
  EXPECT_EQ(in_sandbox([&] { return !opens(); }), 0);
  close(ends[1]);
  waitpid(other, nullptr, 0);
}

}  // namespace
}  // namespace beamgate::sandbox
