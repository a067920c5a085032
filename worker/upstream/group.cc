#include "worker/upstream/group.h"

#include <algorithm>

namespace beamgate::upstream {

void Group::follow(const std::shared_ptr<const config::Upstream>& upstream) {
  if (upstream == upstream_) return;
  upstream_ = upstream;
  for (const std::unique_ptr<Peer>& peer : peers_) peer->configured = false;
  for (const config::UpstreamServer& server : upstream_->servers) {
    if (Peer* known = find(server.address.text)) {
      known->configure(server);
      known->configured = true;
    } else {
      peers_.push_back(std::make_unique<Peer>(server));
    }
  }
  std::erase_if(peers_, [](const std::unique_ptr<Peer>& peer) {
    if (!peer->configured) peer->drop_idle();
    return !peer->configured && peer->in_use == 0;
  });
}

Peer* Group::find(const std::string& address) {
  for (const std::unique_ptr<Peer>& peer : peers_) {
    if (!peer->configured && peer->server().address.text == address) return peer.get();
  }
  return nullptr;
}

Peer* Group::choose(const std::vector<const Peer*>& tried, int64_t now_ms) {
  constexpr Wanted kOrder[] = {{false, true}, {true, true}, {false, false}, {true, false}};
  for (const Wanted wanted : kOrder) {
    if (Peer* peer = choose_among(tried, now_ms, wanted)) {
      peer->chosen(now_ms);
      return peer;
    }
  }
  return nullptr;
}

Peer* Group::choose_among(const std::vector<const Peer*>& tried, int64_t now_ms, Wanted wanted) {
  Peer* best = nullptr;
  int64_t total = 0;
  for (const std::unique_ptr<Peer>& peer : peers_) {
    const config::UpstreamServer& server = peer->server();
    if (!peer->configured || server.down || server.backup != wanted.backup) continue;
    if (wanted.only_available && !peer->is_available(now_ms)) continue;
    if (std::find(tried.begin(), tried.end(), peer.get()) != tried.end()) continue;
    peer->current_weight += server.weight;
    total += server.weight;
    if (best == nullptr || peer->current_weight > best->current_weight) best = peer.get();
  }
  if (best != nullptr) best->current_weight -= total;
  return best;
}

void Group::keep(Peer& peer, std::unique_ptr<Connection> connection, int64_t now_ms) {
  if (!peer.configured || upstream_->keepalive == 0) return;
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
