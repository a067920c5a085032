#include "worker/upstream/group.h"

#include <algorithm>

namespace beamgate::upstream {
namespace {

using Method = config::Balancing::Method;

// Fewer requests for its weight than the other.
bool is_less_busy(const Peer& a, const Peer& b) {
  return uint64_t{a.in_use} * b.server().weight < uint64_t{b.in_use} * a.server().weight;
}

// Another number for each further draw of one key.
uint64_t redrawn(uint32_t key, int draw) {
  uint64_t mixed = (uint64_t{key} + 1) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(draw) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 31)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 29);
}

}  // namespace

void Group::follow(const std::shared_ptr<const config::Upstream>& upstream) {
  if (upstream == upstream_) return;
  upstream_ = upstream;
  const std::vector<std::string> wanted = names();
  std::erase_if(addresses_, [&](const auto& known) {
    return std::find(wanted.begin(), wanted.end(), known.first) == wanted.end();
  });
  rebuild();
}

std::vector<std::string> Group::names() const {
  std::vector<std::string> out;
  for (const config::UpstreamServer& server : upstream_->servers) {
    if (server.resolve.empty() || std::find(out.begin(), out.end(), server.resolve) != out.end()) continue;
    out.push_back(server.resolve);
  }
  return out;
}

bool Group::set_addresses(const std::string& name, std::vector<config::Address> addresses) {
  const auto same = [](const config::Address& a, const config::Address& b) { return a.text == b.text; };
  std::sort(addresses.begin(), addresses.end(),
            [](const config::Address& a, const config::Address& b) { return a.text < b.text; });
  addresses.erase(std::unique(addresses.begin(), addresses.end(), same), addresses.end());
  std::vector<config::Address>& known = addresses_[name];
  if (std::equal(known.begin(), known.end(), addresses.begin(), addresses.end(), same)) return false;
  known = std::move(addresses);
  rebuild();
  return true;
}

void Group::rebuild() {
  for (const std::unique_ptr<Peer>& peer : peers_) peer->configured = false;
  std::vector<std::string> expanded;
  for (const config::UpstreamServer& server : upstream_->servers) {
    const auto answered = addresses_.find(server.resolve);
    if (answered == addresses_.end()) {
      if (server.address.length != 0) add(server);
      continue;
    }
    // The configuration has one line for each address that the name had then.
    if (std::find(expanded.begin(), expanded.end(), server.resolve) != expanded.end()) continue;
    expanded.push_back(server.resolve);
    config::UpstreamServer at = server;
    for (const config::Address& address : answered->second) {
      at.address = address;
      add(at);
    }
  }
  std::erase_if(peers_, [](const std::unique_ptr<Peer>& peer) {
    if (!peer->configured) {
      peer->drop_idle();
      peer->companion.reset();
    }
    return !peer->configured && peer->in_use == 0;
  });
  ring_.build({});
  on_ring_.clear();
  if (!upstream_->balancing.consistent) return;
  std::vector<HashRing::Server> servers;
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (!peer->configured || peer->server().down) continue;
    servers.push_back({peer->server().address.text, peer->server().weight});
    on_ring_.push_back(peer.get());
  }
  ring_.build(servers);
}

void Group::add(const config::UpstreamServer& server) {
  if (Peer* known = find(server.address.text)) {
    known->configure(server);
    known->configured = true;
  } else {
    peers_.push_back(std::make_unique<Peer>(server));
  }
}

Peer* Group::find(const std::string& address) {
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (!peer->configured && peer->server().address.text == address) return peer.get();
  }
  return nullptr;
}

// --- Choosing.

Peer* Group::choose(const Pick& pick) {
  constexpr Wanted kOrder[] = {{false, true}, {true, true}, {false, false}, {true, false}};
  for (const Wanted wanted : kOrder) {
    candidates_.clear();
    for (const std::unique_ptr<Peer>& peer : peers_) {
      if (fits(*peer, pick, wanted)) candidates_.push_back(peer.get());
    }
    if (candidates_.empty()) continue;
    Peer* chosen = choose_by_method(pick, wanted);
    chosen->chosen(pick.now_ms);
    return chosen;
  }
  return nullptr;
}

bool Group::fits(const Peer& peer, const Pick& pick, Wanted wanted) const {
  if (!peer.takes_requests() || peer.server().backup != wanted.backup) return false;
  if (wanted.only_available && !peer.is_available(pick.now_ms)) return false;
  return std::find(pick.tried.begin(), pick.tried.end(), &peer) == pick.tried.end();
}

// REQUIRES: there are candidates.
Peer* Group::choose_by_method(const Pick& pick, Wanted wanted) {
  switch (upstream_->balancing.method) {
    case Method::LeastConn:
      return least_busy(pick.now_ms);
    case Method::Random:
      return by_lot();
    case Method::Hash:
    case Method::IpHash: {
      Peer* found = ring_.empty() ? by_hash(pick, wanted) : on_ring(pick, wanted);
      return found != nullptr ? found : in_turn(candidates_, pick.now_ms);
    }
    case Method::RoundRobin:
      break;
  }
  return in_turn(candidates_, pick.now_ms);
}

Peer* Group::in_turn(const std::vector<Peer*>& candidates, int64_t now_ms) {
  Peer* best = nullptr;
  int64_t total = 0;
  for (Peer* peer : candidates) {
    const int64_t weight = peer->weight_at(now_ms);
    peer->current_weight += weight;
    total += weight;
    if (best == nullptr || peer->current_weight > best->current_weight) best = peer;
  }
  best->current_weight -= total;
  return best;
}

Peer* Group::least_busy(int64_t now_ms) {
  fewer_.clear();
  for (Peer* peer : candidates_) {
    if (!fewer_.empty() && is_less_busy(*fewer_.front(), *peer)) continue;
    if (!fewer_.empty() && is_less_busy(*peer, *fewer_.front())) fewer_.clear();
    fewer_.push_back(peer);
  }
  return in_turn(fewer_, now_ms);
}

Peer* Group::on_ring(const Pick& pick, Wanted wanted) {
  const size_t first = ring_.find(pick.key);
  for (size_t step = 0; step < ring_.size(); ++step) {
    Peer* peer = on_ring_[ring_.server_at(first + step)];
    if (fits(*peer, pick, wanted)) return peer;
  }
  return nullptr;
}

// Over all servers that are configured, so that a key stays where it is while another server is aside.
Peer* Group::by_hash(const Pick& pick, Wanted wanted) {
  uint64_t total = 0;
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (peer->configured && !peer->server().down) total += peer->server().weight;
  }
  for (int attempt = 0; attempt < kRehashMax; ++attempt) {
    uint64_t left = redrawn(pick.key, attempt) % total;
    for (const std::unique_ptr<Peer>& peer : peers_) {
      if (!peer->configured || peer->server().down) continue;
      if (left < peer->server().weight) {
        if (fits(*peer, pick, wanted)) return peer.get();
        break;
      }
      left -= peer->server().weight;
    }
  }
  return nullptr;
}

Peer* Group::by_lot() {
  Peer* one = draw(candidates_);
  if (!upstream_->balancing.two || candidates_.size() == 1) return one;
  fewer_.clear();
  for (Peer* peer : candidates_) {
    if (peer != one) fewer_.push_back(peer);
  }
  Peer* other = draw(fewer_);
  return is_less_busy(*other, *one) ? other : one;
}

Peer* Group::draw(const std::vector<Peer*>& candidates) {
  uint64_t total = 0;
  for (const Peer* peer : candidates) total += peer->server().weight;
  uint64_t left = std::uniform_int_distribution<uint64_t>(0, total - 1)(lot_);
  for (Peer* peer : candidates) {
    if (left < peer->server().weight) return peer;
    left -= peer->server().weight;
  }
  return candidates.back();
}

// --- Idle connections.

void Group::keep(Peer& peer, std::unique_ptr<Connection> connection, int64_t now_ms) {
  if (!peer.configured || !peer.healthy() || upstream_->keepalive == 0) return;
  if (connection->requests >= upstream_->keepalive_requests) return;
  if (idle_count() >= upstream_->keepalive) drop_oldest_idle();
  connection->idle_since = now_ms;
  connection->set_deadline(now_ms + upstream_->keepalive_timeout_ms);
  peer.keep(std::move(connection));
}

size_t Group::idle_count() const {
  size_t count = 0;
  for (const std::unique_ptr<Peer>& peer : peers_) count += peer->idle_count();
  return count;
}

void Group::drop_oldest_idle() {
  Peer* oldest = nullptr;
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (peer->idle_count() == 0) continue;
    if (oldest == nullptr || peer->oldest_idle_since() < oldest->oldest_idle_since()) oldest = peer.get();
  }
  if (oldest != nullptr) oldest->drop_oldest_idle();
}

}  // namespace beamgate::upstream
