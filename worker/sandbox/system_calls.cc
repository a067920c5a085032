#include "worker/sandbox/system_calls.h"

#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <memory>

namespace beamgate::sandbox {
namespace {

#define CALL(name) SCMP_SYS(name)

constexpr int kAllowed[] = {
    // Bytes.
    CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(preadv), CALL(pwritev),
    CALL(preadv2), CALL(pwritev2), CALL(lseek), CALL(sendfile), CALL(splice), CALL(tee), CALL(copy_file_range),
    // Descriptors.
    CALL(close), CALL(close_range), CALL(dup), CALL(dup2), CALL(dup3), CALL(fcntl), CALL(pipe), CALL(pipe2),
    CALL(eventfd), CALL(eventfd2), CALL(memfd_create), CALL(timerfd_create), CALL(timerfd_settime),
    CALL(timerfd_gettime), CALL(signalfd), CALL(signalfd4), CALL(inotify_init1), CALL(inotify_add_watch),
    CALL(inotify_rm_watch),
    // Waiting.
    CALL(epoll_create), CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2),
    CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(nanosleep), CALL(clock_nanosleep), CALL(pause),
    CALL(restart_syscall),
    // Sockets, socket(2) and socketpair(2) apart.
    CALL(connect), CALL(accept), CALL(accept4), CALL(bind), CALL(getsockname), CALL(getpeername), CALL(getsockopt),
    CALL(setsockopt), CALL(sendto), CALL(recvfrom), CALL(sendmsg), CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg),
    CALL(shutdown),
    // Files: document roots, bodies, logs, what name resolution and TLS read.
    CALL(open), CALL(openat), CALL(openat2), CALL(stat), CALL(fstat), CALL(lstat), CALL(newfstatat), CALL(statx),
    CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink), CALL(readlinkat),
    CALL(getdents), CALL(getdents64), CALL(getcwd), CALL(ftruncate), CALL(fallocate), CALL(fadvise64), CALL(fsync),
    CALL(fdatasync), CALL(flock), CALL(unlink), CALL(unlinkat), CALL(umask),
    // Memory, mmap(2) and mprotect(2) apart.
    CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), CALL(mincore), CALL(msync), CALL(membarrier),
    // Threads.
    CALL(futex), CALL(futex_waitv), CALL(set_robust_list), CALL(get_robust_list), CALL(set_tid_address), CALL(rseq),
    CALL(arch_prctl), CALL(exit), CALL(exit_group), CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_setaffinity),
    CALL(sched_getparam), CALL(sched_getscheduler), CALL(sched_setscheduler), CALL(sched_getattr),
    CALL(sched_get_priority_min), CALL(sched_get_priority_max), CALL(getpriority), CALL(getcpu),
    // Signals, sending and handling them apart.
    CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigpending), CALL(rt_sigtimedwait), CALL(rt_sigsuspend),
    CALL(sigaltstack),
    // Time.
    CALL(clock_gettime), CALL(clock_getres), CALL(gettimeofday), CALL(time), CALL(times), CALL(getitimer),
    CALL(setitimer), CALL(alarm), CALL(timer_create), CALL(timer_settime), CALL(timer_gettime), CALL(timer_getoverrun),
    CALL(timer_delete),
    // Who and where we are.
    CALL(getpid), CALL(gettid), CALL(getppid), CALL(getpgrp), CALL(getpgid), CALL(getsid), CALL(getuid), CALL(geteuid),
    CALL(getgid), CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(capget), CALL(getrlimit),
    CALL(getrusage), CALL(sysinfo), CALL(uname), CALL(getrandom)};

// Somebody asks for a program, for rights, for other processes or for the kernel itself.
constexpr int kHostile[] = {
    CALL(execve), CALL(execveat), CALL(uselib), CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev),
    CALL(process_madvise), CALL(pidfd_getfd), CALL(kcmp), CALL(perf_event_open), CALL(userfaultfd), CALL(bpf),
    CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid), CALL(setresgid), CALL(setfsuid),
    CALL(setfsgid), CALL(setgroups), CALL(capset), CALL(personality), CALL(keyctl), CALL(add_key), CALL(request_key),
    CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(move_mount), CALL(open_tree), CALL(fsopen),
    CALL(fsconfig), CALL(fsmount), CALL(fspick), CALL(mount_setattr), CALL(unshare), CALL(setns),
    CALL(open_by_handle_at), CALL(mknod), CALL(mknodat), CALL(init_module),
    CALL(finit_module), CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon),
    CALL(swapoff), CALL(acct), CALL(quotactl), CALL(settimeofday), CALL(clock_settime), CALL(adjtimex),
    CALL(clock_adjtime), CALL(sethostname), CALL(setdomainname), CALL(syslog), CALL(iopl), CALL(ioperm),
    CALL(modify_ldt), CALL(vhangup), CALL(io_uring_enter), CALL(io_uring_register)};

// Libraries ask whether there is such a thing, and have another way.  clone3(2) keeps its flags in memory, where no
// filter sees them; io_uring would make calls that no filter sees.
constexpr int kAbsent[] = {CALL(clone3), CALL(io_uring_setup), CALL(pidfd_open), CALL(pidfd_send_signal)};

constexpr int kNewer = 50;

#ifdef BEAMGATE_SANITIZED
// LeakSanitizer looks at the process from a clone that traces it.
constexpr int kSanitizers[] = {CALL(clone), CALL(ptrace), CALL(wait4), CALL(waitid), CALL(prctl), CALL(personality),
                               CALL(kill), CALL(tgkill)};
#else
constexpr int kSanitizers[] = {-1};
#endif

#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool kSupported = true;
#else
constexpr bool kSupported = false;  // refusals.cc could not tell the caller.
#endif

struct Free {
  void operator()(void* filter) const { seccomp_release(filter); }
};

template <size_t kCount>
constexpr bool has(const int (&calls)[kCount], int call) {
  return std::find(std::begin(calls), std::end(calls), call) != std::end(calls);
}

// Collects rules; the first that fails is what it tells.
class Filter {
 public:
  Filter() : filter_(seccomp_init(SCMP_ACT_TRAP)) {
    if (filter_ == nullptr) failed_ = ENOMEM;
  }

  void add(int call, uint32_t action, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    if (failed_ != 0) return;
    const int status = seccomp_rule_add_array(filter_.get(), action, call, static_cast<unsigned>(arguments.size()),
                                              arguments.begin());
    // One that this architecture doesn't have.
    if (status != 0 && status != -EDOM) failed_ = -status;
  }
  void allow(int call, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    if (!arguments.size() || !has(kSanitizers, call)) add(call, SCMP_ACT_ALLOW, arguments);
  }

  Result<void> load() {
    if (failed_ == 0) {
      seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // A tree instead of a chain.
      // Kernels before 5.16 would slow down whoever has a filter, for the sake of programs that run foreign code.
      seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_SSB, 1);
      failed_ = -seccomp_load(filter_.get());
    }
    if (failed_ != 0) return Error{Code::System, failed_, "no filter of system calls"};
    return {};
  }

 private:
  const std::unique_ptr<void, Free> filter_;
  int failed_ = 0;
};

scmp_arg_cmp flags(unsigned argument, uint64_t mask, uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

// The kernel looks at 32 bits of these; what stands in the others is chance.
scmp_arg_cmp word(unsigned argument, uint32_t value) { return flags(argument, UINT32_MAX, value); }

void allow_memory(Filter& filter) {
  for (const int call : {CALL(mmap), CALL(mmap2)}) {
    filter.allow(call, {flags(2, PROT_EXEC, 0)});
    filter.allow(call, {flags(2, PROT_EXEC | PROT_WRITE, PROT_EXEC)});  // Modules of name resolution.
  }
  filter.allow(CALL(mprotect), {flags(2, PROT_EXEC, 0)});
}

void allow_sockets(Filter& filter) {
  for (const uint32_t family : {AF_INET, AF_INET6, AF_UNIX}) filter.allow(CALL(socket), {word(0, family)});
  filter.allow(CALL(socket), {word(0, AF_NETLINK), word(2, NETLINK_ROUTE)});
  filter.allow(CALL(socketpair), {word(0, AF_UNIX)});
  for (const uint32_t request : {FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ, SIOCOUTQ, SIOCGIFNAME,
                                 SIOCGIFINDEX, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFNETMASK}) {
    filter.allow(CALL(ioctl), {word(1, request)});
  }
}

void allow_processes(Filter& filter) {
  const auto self = static_cast<uint32_t>(getpid());
  filter.allow(CALL(clone), {flags(0, CLONE_THREAD, CLONE_THREAD)});
  filter.allow(CALL(kill), {word(0, self)});
  filter.allow(CALL(tgkill), {word(0, self)});
  for (uint32_t signal = 1; signal <= 64; ++signal) {
    if (signal != SIGSYS) filter.allow(CALL(rt_sigaction), {word(0, signal)});
  }
  filter.allow(CALL(prlimit64), {word(0, 0)});
  filter.allow(CALL(prlimit64), {word(0, self)});
  for (const uint32_t option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG,
                                PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_TIMERSLACK,
                                PR_GET_TIMERSLACK, 0x53564d41 /* PR_SET_VMA */}) {
    filter.allow(CALL(prctl), {word(0, option)});
  }
}

}  // namespace

bool is_hostile(int system_call) { return system_call >= 0 && has(kHostile, system_call); }

Result<void> filter_system_calls() {
  if (!kSupported) return Error{Code::Unavailable, 0, "no filter of system calls for this architecture"};
  Filter filter;
  for (const int call : kAllowed) filter.allow(call);
  for (const int call : kSanitizers) {
    if (call >= 0) filter.allow(call);
  }
  for (const int call : kAbsent) filter.add(call, SCMP_ACT_ERRNO(ENOSYS));
  // Also where SIGSYS is blocked, as while a thread is made.
  for (int call = kNewestKnown + 1; call <= kNewestKnown + kNewer; ++call) filter.add(call, SCMP_ACT_ERRNO(ENOSYS));
  allow_memory(filter);
  allow_sockets(filter);
  allow_processes(filter);
  return filter.load();
}

}  // namespace beamgate::sandbox
