#include "worker/upstream/resolver.h"

#include <ares.h>
#include <netinet/in.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/config/network.h"

namespace beamgate::upstream {
namespace {

// A node's address with a port and its text; false for a family that isn't ours.
bool address_of(const ares_addrinfo_node& node, uint16_t port, config::Address& out) {
  char text[INET6_ADDRSTRLEN];
  const void* bytes = nullptr;
  if (node.ai_family == AF_INET) bytes = &reinterpret_cast<const sockaddr_in*>(node.ai_addr)->sin_addr;
  if (node.ai_family == AF_INET6) bytes = &reinterpret_cast<const sockaddr_in6*>(node.ai_addr)->sin6_addr;
  if (bytes == nullptr || ares_inet_ntop(node.ai_family, bytes, text, sizeof text) == nullptr) return false;
  return config::numeric_address(text, port, out);
}

Result<Resolver::Answer> read_answer(const ares_addrinfo& info, uint16_t port) {
  Resolver::Answer answer;
  int ttl = INT32_MAX;
  for (const ares_addrinfo_node* node = info.nodes; node != nullptr; node = node->ai_next) {
    config::Address address;
    if (answer.addresses.size() == Resolver::kAddressesMax || !address_of(*node, port, address)) continue;
    ttl = std::min(ttl, node->ai_ttl);
    answer.addresses.push_back(std::move(address));
  }
  if (answer.addresses.empty()) return Error{Code::NotFound, 0, "the name has no address"};
  answer.ttl_ms = int64_t{ttl} * 1000;
  return answer;
}

}  // namespace

struct Resolver::Ticket {
  Resolver& resolver;
  Id id;

  static void on_answer(void* argument, int status, int, ares_addrinfo* info) noexcept {
    const std::unique_ptr<Ticket> ticket(static_cast<Ticket*>(argument));
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> freed(info, ares_freeaddrinfo);
    Resolver& resolver = ticket->resolver;
    const auto query = resolver.queries_.find(ticket->id);
    if (status == ARES_EDESTRUCTION || query == resolver.queries_.end()) return;
    if (status != ARES_SUCCESS || info == nullptr) {
      return resolver.finish(ticket->id, Error{Code::NotFound, 0, ares_strerror(status)});
    }
    resolver.finish(ticket->id, read_answer(*info, query->second.port));
  }

  static void on_socket(void* self, ares_socket_t socket, int readable, int writable) noexcept {
    static_cast<Resolver*>(self)->watch(socket, readable != 0, writable != 0);
  }
};

Resolver::Resolver(uv::Loop& loop) : loop_(loop), timer_(loop, [this] { expire(); }) {
  ares_library_init(ARES_LIB_INIT_ALL);
  timer_.unref();
}

Resolver::~Resolver() {
  close();
  ares_library_cleanup();
}

void Resolver::configure(const config::Resolver& resolver) {
  close();
  config_ = resolver;
}

int Resolver::rounds_within(int64_t timeout_ms, size_t servers) {
  int rounds = 1;
  int64_t round_ms = kTryMs * static_cast<int64_t>(std::max<size_t>(servers, 1));
  for (int64_t ends_ms = round_ms; ends_ms < timeout_ms; ends_ms += round_ms) {
    round_ms *= 2;
    ++rounds;
  }
  return rounds;
}

bool Resolver::open() {
  if (channel_ != nullptr) return true;
  ares_options options{};
  int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
  options.sock_state_cb = Ticket::on_socket;
  options.sock_state_cb_data = this;
  options.timeout = kTryMs;
  options.tries = rounds_within(config_.timeout_ms, config_.servers.size());
  char lookups[] = "b";  // Name servers that are given are asked, and not /etc/hosts.
  if (!config_.servers.empty()) {
    options.lookups = lookups;
    mask |= ARES_OPT_LOOKUPS;
  }
  if (ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) {
    channel_ = nullptr;
    return false;
  }
  std::string servers;
  for (const config::Address& server : config_.servers) {
    if (!servers.empty()) servers += ',';
    servers += server.text;
  }
  if (!servers.empty() && ares_set_servers_ports_csv(channel_, servers.c_str()) != ARES_SUCCESS) {
    close();
    return false;
  }
  return true;
}

void Resolver::close() {
  queries_.clear();
  if (channel_ != nullptr) ares_destroy(channel_);
  channel_ = nullptr;
  sockets_.clear();
  timer_.stop();
}

Resolver::Id Resolver::resolve(const std::string& name, Done done) {
  const Id id = ++last_id_;
  std::string error;
  std::optional<uint16_t> port;
  Query query;
  const bool split = config::split_authority(name, query.host, port, error);
  query.port = port.value_or(80);
  query.give_up_ms = monotonic_ms() + config_.timeout_ms;
  query.done = std::move(done);
  const std::string host = query.host;
  if (queries_.empty()) timer_.start_repeating(kTickMs);
  queries_.emplace(id, std::move(query));
  if (!split || !open()) {
    finish(id, Error{Code::Invalid, 0, "the resolver can't be used"});
    return id;
  }
  ares_addrinfo_hints hints{};
  hints.ai_family = config_.ipv6 ? AF_UNSPEC : AF_INET;
  hints.ai_flags = ARES_AI_NOSORT;
  ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, Ticket::on_answer, new Ticket{*this, id});
  return id;
}

void Resolver::cancel(Id id) { queries_.erase(id); }

void Resolver::finish(Id id, const Result<Answer>& answer) {
  const auto found = queries_.find(id);
  if (found == queries_.end()) return;
  const Done done = std::move(found->second.done);
  queries_.erase(found);
  done(answer);
}

void Resolver::watch(int socket, bool readable, bool writable) {
  if (!readable && !writable) {
    sockets_.erase(socket);
    return;
  }
  std::unique_ptr<uv::PollWatcher>& watcher = sockets_[socket];
  if (watcher == nullptr) {
    auto opened = uv::PollWatcher::open(loop_, socket, [this, socket](uv::PollWatcher::Ready ready) {
      process(ready.readable ? socket : ARES_SOCKET_BAD, ready.writable ? socket : ARES_SOCKET_BAD);
    });
    if (!opened.ok()) {
      sockets_.erase(socket);  // Then the query times out.
      return;
    }
    watcher = std::move(opened).value();
  }
  watcher->watch(readable, writable);
}

void Resolver::process(int readable, int writable) {
  if (channel_ != nullptr) ares_process_fd(channel_, readable, writable);
}

// c-ares looks at its own timeouts; ours is the one for a name as a whole.
void Resolver::expire() {
  process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  const int64_t now_ms = monotonic_ms();
  std::vector<Id> late;
  for (const auto& [id, query] : queries_) {
    if (now_ms >= query.give_up_ms) late.push_back(id);
  }
  for (const Id id : late) finish(id, Error{Code::Timeout, 0, "no answer in time"});
  if (queries_.empty()) timer_.stop();
}

}  // namespace beamgate::upstream
