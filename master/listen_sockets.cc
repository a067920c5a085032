#include "master/listen_sockets.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "common/base/assert.h"

namespace beamgate::master {
namespace {

constexpr int kOn = 1;
constexpr mode_t kUnixSocketMode = 0666;
constexpr mode_t kOwnerOnlyMode = 0600;

const sockaddr* generic(const config::Address& address) {
  return reinterpret_cast<const sockaddr*>(&address.storage);
}

uint16_t port_of(const config::Address& address) {
  if (address.storage.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address.storage).sin_port);
  }
  if (address.storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port);
  }
  return 0;
}

const char* path_of(const config::Address& address) {
  return reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
}

Result<UniqueFd> new_socket(int family) {
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return system_error("can't make a socket");
  return socket;
}

// For each connection that will be accepted there: Linux passes it on.  Only slower, where it fails.
void set_no_delay(int fd) { static_cast<void>(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn)); }

Result<UniqueFd> bound_tcp_socket(const config::Listen& listen, bool reuse_port) {
  const int family = listen.address.storage.ss_family;
  auto socket = new_socket(family);
  if (!socket.ok()) return socket;
  const int fd = socket.value().get();
  const int ipv6_only = listen.ipv6_only ? 1 : 0;
  bool set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn) == 0;
  if (reuse_port) set = set && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &kOn, sizeof kOn) == 0;
  if (family == AF_INET6) {
    set = set && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof ipv6_only) == 0;
  }
  if (!set) return system_error("can't set a socket option");
  if (bind(fd, generic(listen.address), listen.address.length) != 0) return system_error("can't bind");
  return socket;
}

// Takes over the port that the kernel chose.
Result<void> learn_port(config::Address& address, int fd) {
  address.length = sizeof address.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return system_error("can't learn the port");
  }
  const size_t colon = address.text.rfind(':');
  if (colon != std::string::npos) address.text.resize(colon);
  address.text += ':' + std::to_string(port_of(address));
  return {};
}

// A socket file whose owner is gone refuses connections.
Result<void> remove_stale_file(const config::Address& address) {
  struct stat status {};
  if (lstat(path_of(address), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return Error{Code::System, EADDRINUSE, "a file that is no socket is in the way"};
  auto socket = new_socket(AF_UNIX);
  if (!socket.ok()) return socket.error();
  if (connect(socket.value().get(), generic(address), address.length) == 0 || errno != ECONNREFUSED) {
    return Error{Code::System, EADDRINUSE, "can't bind"};
  }
  unlink(path_of(address));
  return {};
}

}  // namespace

ListenSockets::~ListenSockets() {
  close();
}

void ListenSockets::close() {
  for (const auto& [id, entry] : entries_) remove_file(entry);
  entries_.clear();
}

void ListenSockets::remove_file(const Entry& entry) const {
  if (!entry.is_unix() || entry.inode == 0) return;
  struct stat status {};
  const char* path = path_of(entry.listen.address);
  if (lstat(path, &status) == 0 && status.st_ino == entry.inode) unlink(path);
}

bool ListenSockets::holds_port(uint16_t port) const {
  return std::any_of(entries_.begin(), entries_.end(), [port](const auto& item) {
    return !item.second.sockets.empty() && port_of(item.second.listen.address) == port;
  });
}

Result<void> ListenSockets::bind_unix(Entry& entry) {
  if (!entry.sockets.empty()) return {};
  const config::Address& address = entry.listen.address;
  if (auto removed = remove_stale_file(address); !removed.ok()) return removed;
  auto socket = new_socket(AF_UNIX);
  if (!socket.ok()) return socket.error();
  struct stat status {};
  if (bind(socket.value().get(), generic(address), address.length) != 0) return system_error("can't bind");
  const mode_t mode = entry.listen.owner_only ? kOwnerOnlyMode : kUnixSocketMode;
  if (chmod(path_of(address), mode) != 0 || lstat(path_of(address), &status) != 0) {
    const Error error = system_error("can't set the mode of the socket");
    unlink(path_of(address));
    return error;
  }
  entry.inode = status.st_ino;
  entry.sockets.push_back(std::move(socket).value());
  return {};
}

Result<void> ListenSockets::bind_tcp(Entry& entry, uint16_t slots) {
  config::Listen& listen = entry.listen;
  const uint16_t port = port_of(listen.address);
  if (entry.sockets.empty() && port != 0 && !holds_port(port)) {
    // Without SO_REUSEPORT: fails when anybody else listens there, another master of the same user included.
    if (auto probe = bound_tcp_socket(listen, false); !probe.ok()) return probe.error();
  }
  while (entry.sockets.size() < slots) {
    auto socket = bound_tcp_socket(listen, true);
    if (!socket.ok()) return socket.error();
    if (port_of(listen.address) == 0) {
      if (auto learned = learn_port(listen.address, socket.value().get()); !learned.ok()) return learned;
    }
    entry.sockets.push_back(std::move(socket).value());
  }
  return {};
}

Result<void> ListenSockets::bind_entry(Entry& entry, uint16_t slots) {
  return entry.is_unix() ? bind_unix(entry) : bind_tcp(entry, slots);
}

std::optional<BindFailure> ListenSockets::prepare(const config::Config& config, uint16_t slots) {
  BG_ASSERT(slots > 0);
  for (auto& [id, entry] : entries_) entry.wanted = false;
  config::for_each_listen(config, [this](const config::Listen& listen) {
    auto [found, added] = entries_.try_emplace(listen.id);
    Entry& entry = found->second;
    if (added) entry.listen = listen;
    entry.listen.backlog = listen.backlog;
    entry.wanted = true;
  });
  for (auto& [id, entry] : entries_) {
    if (!entry.wanted) continue;
    if (auto bound = bind_entry(entry, slots); !bound.ok()) {
      const BindFailure failure{entry.listen.address.text, bound.error()};
      abort();
      return failure;
    }
  }
  return std::nullopt;
}

std::optional<BindFailure> ListenSockets::commit() {
  std::optional<BindFailure> failure;
  for (auto next = entries_.begin(); next != entries_.end();) {
    Entry& entry = next->second;
    if (!entry.wanted) {
      remove_file(entry);
      next = entries_.erase(next);
      continue;
    }
    // Also for sockets that listen already: the backlog may be another one now.
    for (const UniqueFd& socket : entry.sockets) {
      if (!entry.is_unix()) set_no_delay(socket.get());
      if (listen(socket.get(), entry.listen.backlog) != 0) {
        failure = BindFailure{entry.listen.address.text, system_error("can't listen")};
      }
    }
    entry.listening = entry.sockets.size();
    entry.committed = true;
    ++next;
  }
  return failure;
}

void ListenSockets::abort() {
  for (auto next = entries_.begin(); next != entries_.end();) {
    Entry& entry = next->second;
    if (!entry.committed) {
      remove_file(entry);
      next = entries_.erase(next);
      continue;
    }
    entry.sockets.resize(entry.listening);
    entry.wanted = true;
    ++next;
  }
}

std::vector<ListenSockets::Borrowed> ListenSockets::added(uint16_t slot) const {
  std::vector<Borrowed> out;
  for (const auto& [id, entry] : entries_) {
    if (!entry.committed) out.push_back({id, entry.socket_of(slot)});
  }
  return out;
}

std::vector<ListenSockets::Borrowed> ListenSockets::of_slot(uint16_t slot) const {
  std::vector<Borrowed> out;
  for (const auto& [id, entry] : entries_) {
    if (entry.committed) out.push_back({id, entry.socket_of(slot)});
  }
  return out;
}

void ListenSockets::steer(uint16_t slots) {
  BG_ASSERT(slots > 0);
  for (const auto& [id, entry] : entries_) {
    if (entry.is_unix() || entry.sockets.size() <= slots) continue;
    sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)},
        {BPF_ALU | BPF_MOD | BPF_K, 0, 0, slots},
        {BPF_RET | BPF_A, 0, 0, 0},
    };
    const sock_fprog program{3, code};
    // A kernel that can't only loses the guarantee for clients in the queue.
    static_cast<void>(setsockopt(entry.sockets[0].get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                                 sizeof program));
  }
}

void ListenSockets::unsteer() {
  for (const auto& [id, entry] : entries_) {
    if (entry.is_unix()) continue;
    // Fails where no program is attached, which is most of the time.
    static_cast<void>(
        setsockopt(entry.sockets[0].get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &kOn, sizeof kOn));
  }
}

void ListenSockets::trim(uint16_t slots) {
  for (auto& [id, entry] : entries_) {
    if (entry.is_unix()) continue;
    while (entry.sockets.size() > slots) entry.sockets.pop_back();
    entry.listening = std::min(entry.listening, entry.sockets.size());
  }
  unsteer();
}

void ListenSockets::leave(HandoverState& state) const {
  for (const auto& [id, entry] : entries_) {
    if (!entry.committed) continue;
    const config::Address& address = entry.listen.address;
    HandoverState::Listen& out = state.listens.emplace_back();
    out.id = id;
    out.text = address.text;
    out.address = {reinterpret_cast<const char*>(&address.storage), address.length};
    out.backlog = entry.listen.backlog;
    out.ipv6_only = entry.listen.ipv6_only;
    out.inode = entry.inode;
    for (size_t i = 0; i < entry.listening; ++i) out.sockets.push_back(entry.sockets[i].get());
  }
}

void ListenSockets::adopt(const HandoverState& state) {
  for (const auto& listen : state.listens) {
    Entry& entry = entries_[listen.id];
    config::Address& address = entry.listen.address;
    entry.listen.id = listen.id;
    entry.listen.backlog = listen.backlog;
    entry.listen.ipv6_only = listen.ipv6_only;
    address.text = listen.text;
    address.length = static_cast<socklen_t>(listen.address.size());
    memcpy(&address.storage, listen.address.data(), listen.address.size());
    entry.inode = listen.inode;
    for (const int32_t socket : listen.sockets) entry.sockets.emplace_back(socket);
    if (!entry.is_unix()) std::for_each(listen.sockets.begin(), listen.sockets.end(), set_no_delay);
    entry.listening = entry.sockets.size();
    entry.committed = true;
  }
}

std::vector<std::string> ListenSockets::addresses(const config::Config& config) const {
  std::vector<std::string> out;
  std::set<uint32_t> seen;
  config::for_each_listen(config, [&](const config::Listen& listen) {
    const auto found = entries_.find(listen.id);
    if (found != entries_.end() && found->second.committed && seen.insert(listen.id).second) {
      out.push_back(found->second.listen.address.text);
    }
  });
  return out;
}

}  // namespace beamgate::master
