#include "worker/upstream/server_states.h"

namespace beamgate::upstream {
namespace {

std::string_view state_of(const Peer& peer, int64_t now_ms) {
  if (peer.server().down) return "down";
  if (!peer.healthy()) return "unhealthy";
  return peer.is_available(now_ms) ? "up" : "aside";
}

}  // namespace

std::vector<ServerState> server_states(const Pool& pool, int64_t now_ms) {
  std::vector<ServerState> out;
  for (const auto& [name, group] : pool.groups()) {
    for (const std::unique_ptr<Peer>& peer : group.peers()) {
      if (!peer->configured) continue;
      if (out.size() == kServerStatesMax) return out;
      out.push_back({name, peer->server().address.text, state_of(*peer, now_ms), peer->server().backup,
                     peer->in_use, peer->requests, peer->failures});
    }
  }
  return out;
}

}  // namespace beamgate::upstream
