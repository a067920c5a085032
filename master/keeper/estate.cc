#include "master/keeper/estate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/clock.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "master/handover_state.h"

namespace beamgate::master {
namespace {

constexpr int kStepMs = 10'000;  // Of waiting for the other side.
constexpr int kBacklog = 4;
constexpr size_t kDescriptorsAtOnce = 512;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Code::Invalid, 0, "the path is too long for a socket"};
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool wait_for(int descriptor, short events) {
  pollfd waiting{descriptor, events, 0};
  int ready;
  do {
    ready = poll(&waiting, 1, kStepMs);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

bool is_trusted(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

bool send_all(ipc::Channel& channel) {
  for (;;) {
    const auto flushed = channel.flush();
    if (!flushed.ok()) return false;
    if (flushed.value() == ipc::Channel::Progress::Done) return true;
    if (!wait_for(channel.descriptor(), POLLOUT)) return false;
  }
}

UniqueFd duplicate(int descriptor) { return UniqueFd(fcntl(descriptor, F_DUPFD_CLOEXEC, 3)); }

}  // namespace

std::string estate_path(const std::string& pid_path) { return pid_path + ".keeper"; }

Result<EstateSocket> EstateSocket::listen(const std::string& path) {
  EstateSocket out;
  out.path_ = path;
  out.unpublished_ = path + '.' + std::to_string(getpid());
  const auto address = address_of(out.unpublished_);
  if (!address.ok()) return address.error();
  out.socket_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.socket_.valid()) return system_error("can't make a socket");
  unlink(out.unpublished_.c_str());
  const auto* where = reinterpret_cast<const sockaddr*>(&address.value());
  // Before it has a name nobody can open it.
  if (fchmod(out.socket_.get(), 0600) != 0 || bind(out.socket_.get(), where, sizeof(sockaddr_un)) != 0 ||
      chmod(out.unpublished_.c_str(), 0600) != 0 || ::listen(out.socket_.get(), kBacklog) != 0) {
    const Error error = system_error("can't make the socket of the master's keeper");
    unlink(out.unpublished_.c_str());
    return error;
  }
  return out;
}

Result<void> EstateSocket::publish() {
  if (rename(unpublished_.c_str(), path_.c_str()) != 0) return system_error("can't name the socket of the master's keeper");
  unpublished_.clear();
  return {};
}

void EstateSocket::remove() {
  if (!socket_.valid()) return;
  unlink(unpublished_.empty() ? path_.c_str() : unpublished_.c_str());
  socket_.reset();
}

UniqueFd accept_claim(int listening) {
  UniqueFd claimant(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (claimant.valid() && !is_trusted(claimant.get())) claimant.reset();
  return claimant;
}

bool hand_over(const UniqueFd& claimant, int state_file) {
  const auto bytes = read_file(state_file);
  if (!bytes.ok()) return false;
  const auto state = parse_handover_state(bytes.value());
  if (!state.ok()) return false;
  std::vector<int> numbers = state.value().descriptors();
  numbers.insert(numbers.begin(), state_file);
  ipc::Channel channel(duplicate(claimant.get()));
  for (size_t done = 0; done < numbers.size();) {
    const size_t end = std::min(numbers.size(), done + kDescriptorsAtOnce);
    ipc::Descriptors descriptors;
    for (; done < end; ++done) {
      descriptors.push_back(duplicate(numbers[done]));
      if (!descriptors.back().valid()) return false;
    }
    channel.send(ipc::Estate{.last = done == numbers.size()}, std::move(descriptors));
    if (!send_all(channel)) return false;
  }
  // As long as the other one lives: it may have much to read.
  char taken = 0;
  pollfd waiting{claimant.get(), POLLIN, 0};
  while (poll(&waiting, 1, -1) < 0 && errno == EINTR) continue;
  return recv(claimant.get(), &taken, 1, 0) == 1;
}

void Estate::accept() {
  const char taken = 1;
  static_cast<void>(send(keeper.get(), &taken, 1, MSG_NOSIGNAL));
  keeper.reset();
}

Result<std::optional<Estate>> claim_estate(const std::string& path) {
  const auto address = address_of(path);
  if (!address.ok()) return std::optional<Estate>();  // No keeper can have it.
  Estate out;
  out.keeper.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!out.keeper.valid()) return system_error("can't make a socket");
  if (connect(out.keeper.get(), reinterpret_cast<const sockaddr*>(&address.value()), sizeof(sockaddr_un)) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<Estate>();
    return system_error("can't ask the keeper of the master before");
  }
  if (!is_trusted(out.keeper.get())) return Error{Code::Denied, 0, "the keeper of the master before is another user's"};
  fcntl(out.keeper.get(), F_SETFL, O_NONBLOCK);
  ipc::Channel channel(duplicate(out.keeper.get()));
  bool last = false;
  while (!last) {
    if (!wait_for(channel.descriptor(), POLLIN)) return Error{Code::Timeout, 0, "the keeper of the master before is silent"};
    const auto received = channel.receive([&](const ipc::Frame& frame) {
      ipc::Estate part;
      if (frame.kind != ipc::Kind::Estate || !ipc::decode(frame.body, part)) return false;
      for (UniqueFd& descriptor : *frame.descriptors) out.descriptors.push_back(std::move(descriptor));
      last = part.last;
      return true;
    });
    if (received.ok()) continue;
    if (received.error().code == Code::Closed) return Error{Code::Denied, 0, "a living master has this keeper"};
    return received.error();
  }
  if (out.descriptors.empty()) return Error{Code::Invalid, 0, "the keeper of the master before has no state"};
  auto state = read_file(out.descriptors[0].get());
  if (!state.ok()) return state.error();
  out.state = std::move(state).value();
  out.descriptors.erase(out.descriptors.begin());
  return std::optional<Estate>(std::move(out));
}

}  // namespace beamgate::master
