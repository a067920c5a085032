// Group: the servers of one upstream and the choice between them.
//
// Owner      The Pool, by the upstream's name.  It follows the configuration: peers are known by their
//            address, so that a reload keeps their connections and what was learned of them.
// Method     Smooth weighted round robin: every peer gains its weight, the highest is taken and pays the
//            sum, which spreads a heavy peer's turns evenly.  Backups only when no other can be taken; when
//            all are aside after failures, they are tried all the same.
// Limits     Upstream::keepalive idle connections; the oldest goes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/config/model.h"
#include "worker/upstream/peer.h"

namespace beamgate::upstream {

class Group {
 public:
  void follow(const std::shared_ptr<const config::Upstream>& upstream);

  // Null when every server is down or in `tried`.
  Peer* choose(const std::vector<const Peer*>& tried, int64_t now_ms);

  // Keeps a connection on which a response has just ended, within the limits; else it is closed.
  void keep(Peer& peer, std::unique_ptr<Connection> connection, int64_t now_ms);
  size_t idle_count() const;
  size_t size() const { return peers_.size(); }

 private:
  struct Wanted {
    bool backup;
    bool only_available;
  };

  Peer* find(const std::string& address);
  Peer* choose_among(const std::vector<const Peer*>& tried, int64_t now_ms, Wanted wanted);
  void drop_oldest_idle();

  std::shared_ptr<const config::Upstream> upstream_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace beamgate::upstream
