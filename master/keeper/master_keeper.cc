#include "master/keeper/master_keeper.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <new>
#include <utility>
#include <vector>

#include "master/handover_state.h"
#include "master/keeper/clone.h"

namespace beamgate::master {
namespace {

std::vector<int> buses_of(int will) {
  std::vector<int> out;
  const auto bytes = read_file(will);
  if (!bytes.ok()) return out;
  const auto state = parse_handover_state(bytes.value());
  if (!state.ok()) return out;
  for (const auto& slot : state.value().slots) {
    if (slot.bus >= 0) out.push_back(slot.bus);
  }
  return out;
}

bool has_hung_up(const pollfd& watched) { return (watched.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0; }

}  // namespace

Result<std::unique_ptr<MasterKeeper>> MasterKeeper::start(const std::string& path, std::string will,
                                                          ProcessTitle* title, std::function<void()> let_go) {
  std::unique_ptr<MasterKeeper> keeper(new MasterKeeper);
  auto socket = EstateSocket::listen(path);
  if (!socket.ok()) return socket.error();
  keeper->socket_ = std::move(socket).value();
  keeper->master_.reset(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!keeper->master_.valid()) return system_error("can't open the master's process");
  void* page = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return system_error("can't share memory with the master's keeper");
  keeper->page_ = new (page) Page;
  keeper->title_ = title;
  keeper->let_go_ = std::move(let_go);
  if (auto renewed = keeper->renew(std::move(will)); !renewed.ok()) return renewed.error();
  if (auto started = keeper->restart(); !started.ok()) return started.error();
  return keeper;
}

MasterKeeper::~MasterKeeper() {
  end();
  if (page_ != nullptr) munmap(page_, sizeof(Page));
}

// The old will is closed only when nobody can come to read it any more.
Result<void> MasterKeeper::renew(std::string will) {
  if (will == will_text_) return {};
  // Rather an old one than one that nobody could read.
  if (const auto readable = parse_handover_state(will); !readable.ok()) return readable.error();
  auto file = write_file(will);
  if (!file.ok()) return file.error();
  page_->will = file.value().get();
  will_ = std::move(file).value();
  will_text_ = std::move(will);
  return {};
}

Result<void> MasterKeeper::restart() {
  const pid_t pid = clone_sharing_descriptors();
  if (pid < 0) return system_error("can't start the master's keeper");
  if (pid == 0) keep();
  pid_ = pid;
  return {};
}

void MasterKeeper::end() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  pid_ = 0;
  socket_.remove();
}

// --- In the process itself.  Signals are blocked as the master has them: only SIGKILL ends it from outside.

void MasterKeeper::keep() {
  if (title_ != nullptr) title_->set("master keeper process");
  let_go();
  if (let_go_) let_go_();
  while (master_lives()) accept_claim(socket_.descriptor());  // Closed at once: there is nothing to inherit.
  wait_for_heir(page_->will);
  _exit(0);
}

// Waits for its death or for somebody who asks.
bool MasterKeeper::master_lives() {
  pollfd watched[2] = {{master_.get(), POLLIN, 0}, {socket_.descriptor(), POLLIN, 0}};
  while (poll(watched, 2, -1) < 0 && errno == EINTR) continue;
  return watched[0].revents == 0;
}

// Until one has taken everything, or no worker is left.
void MasterKeeper::wait_for_heir(int will) {
  std::vector<pollfd> watched = {{socket_.descriptor(), POLLIN, 0}};
  for (const int bus : buses_of(will)) watched.push_back({bus, 0, 0});
  while (watched.size() > 1) {
    if (poll(watched.data(), watched.size(), -1) < 0) continue;
    if (watched[0].revents != 0) {
      const UniqueFd claimant = accept_claim(socket_.descriptor());
      if (claimant.valid() && hand_over(claimant, will)) return;
    }
    std::erase_if(watched, has_hung_up);
  }
}

}  // namespace beamgate::master
