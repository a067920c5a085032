#include "worker/predecessor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "worker/net/tcp_counts.h"
#include "worker/record/record.h"

namespace beamgate {
namespace {

bool is_same_socket(const record::Record& record) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return getsockopt(record.fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 && cookie == record.so_cookie;
}

struct LocalAddress {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
};

std::optional<LocalAddress> local_address(int fd) {
  LocalAddress out;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&out.address), &out.length) != 0) return std::nullopt;
  return out;
}

in_port_t port_of(const LocalAddress& address) {
  return address.address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address.address).sin6_port
                                               : reinterpret_cast<const sockaddr_in&>(address.address).sin_port;
}

// A listening socket may be bound to no address in particular: its port tells.
bool was_accepted_at(int listening, int fd) {
  int listens = 1;
  socklen_t length = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens != 0) return false;
  const auto here = local_address(fd);
  const auto there = local_address(listening);
  if (!here || !there || here->address.ss_family != there->address.ss_family) return false;
  if (here->address.ss_family == AF_UNIX) {
    return here->length == there->length && memcmp(&here->address, &there->address, here->length) == 0;
  }
  const auto counts = net::tcp_counts(fd);
  return port_of(*here) == port_of(*there) && counts && counts->consumed == 0 && counts->written == 0;
}

template <typename Visit>
void for_each_record(record::Arena& arena, Visit&& visit) {
  for (uint32_t slot = 0; slot < std::min(arena.vault().slots_touched, arena.slots()); ++slot) {
    record::Record& record = arena.records()[slot];
    if (record.phase != record::Phase::Free) visit(record);
  }
}

}  // namespace

Result<Inherited> open_predecessor(ipc::Predecessor& predecessor) {
  auto arena = record::Arena::open(std::move(predecessor.arena));
  if (!arena.ok()) return arena.error();
  Inherited inherited{std::move(arena).value(), {}, predecessor.death};
  if (!inherited.arena.undo(inherited.restored)) return Error{Code::Invalid, 0, "its journal is damaged"};
  return inherited;
}

std::vector<int> clients_of(record::Arena& arena) {
  std::vector<int> out;
  for_each_record(arena, [&](record::Record& record) {
    if (is_same_socket(record)) {
      out.push_back(record.fd);
    } else {
      record.fd = -1;
    }
  });
  return out;
}

// A new descriptor is the lowest number that is free, so all numbers below it are taken.
std::optional<Accepted> accepted_client(const record::Arena& arena, const std::vector<ipc::InheritedListen>& listens,
                                        const std::vector<int>& clients) {
  const uint32_t accepting = arena.stage().accepting;
  const auto listen = std::find_if(listens.begin(), listens.end(), [accepting](const ipc::InheritedListen& each) {
    return each.id + 1 == accepting;
  });
  if (accepting == 0 || listen == listens.end()) return std::nullopt;
  std::vector<int> recorded = clients;
  std::sort(recorded.begin(), recorded.end());
  for (int fd = 3; fcntl(fd, F_GETFD) >= 0; ++fd) {
    if (std::binary_search(recorded.begin(), recorded.end(), fd) || !was_accepted_at(listen->fd.get(), fd)) continue;
    return Accepted{UniqueFd(fd), listen->id};
  }
  return std::nullopt;
}

std::vector<int> pages_of(record::Arena& arena) {
  std::vector<int> out;
  for_each_record(arena, [&](const record::Record& record) {
    if (record.pauses & record::kPauseMove) out.push_back(static_cast<int>(record.move_page) - 1);
  });
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace beamgate
