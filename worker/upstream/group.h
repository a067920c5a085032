// Group: the servers of one upstream and the choice between them.
//
// Owner      The Pool, by the upstream's name.  It follows the configuration: peers are known by their
//            address, so that a reload keeps their connections and what was learned of them.
// Methods    Round robin: every peer gains its weight, the highest is taken and pays the sum, which spreads a
//            heavy peer's turns evenly.  least_conn: the fewest requests for the weight, equals in turn.
//            hash, ip_hash: by the request's key; when that peer can't be taken, the next on the ring, or
//            kRehashMax further draws, then round robin.  random: by lot, or the less busy of two.
//            Backups only when no other can be taken; when all are aside after failures, they are tried all
//            the same.
// Names      A server with "resolve" is as many peers as its name has addresses.
// Limits     Upstream::keepalive idle connections; the oldest goes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/config/model.h"
#include "worker/upstream/hash_ring.h"
#include "worker/upstream/peer.h"

namespace beamgate::upstream {

// What one request says to the choice.
struct Pick {
  const std::vector<const Peer*>& tried;
  int64_t now_ms = 0;
  uint32_t key = 0;  // key_hash() of what the method looks at.
};

class Group {
 public:
  static constexpr int kRehashMax = 20;

  void follow(const std::shared_ptr<const config::Upstream>& upstream);
  const config::Upstream& upstream() const { return *upstream_; }
  const std::shared_ptr<const config::Upstream>& upstream_shared() const { return upstream_; }

  // The addresses of a name are these from now on; never none.  False: as before.
  bool set_addresses(const std::string& name, std::vector<config::Address> addresses);
  std::vector<std::string> names() const;  // Those that "resolve" says, each once.

  // Null when no server can be taken: each is down, out, full or was tried.
  Peer* choose(const Pick& pick);

  // Keeps a connection on which a response has just ended, within the limits; else it is closed.
  void keep(Peer& peer, std::unique_ptr<Connection> connection, int64_t now_ms);
  size_t idle_count() const;
  size_t size() const { return peers_.size(); }
  const std::vector<std::unique_ptr<Peer>>& peers() const { return peers_; }

 private:
  struct Wanted {
    bool backup;
    bool only_available;
  };

  void rebuild();
  void add(const config::UpstreamServer& server);
  Peer* find(const std::string& address);
  bool fits(const Peer& peer, const Pick& pick, Wanted wanted) const;
  Peer* choose_by_method(const Pick& pick, Wanted wanted);
  Peer* in_turn(const std::vector<Peer*>& candidates, int64_t now_ms);
  Peer* least_busy(int64_t now_ms);
  Peer* on_ring(const Pick& pick, Wanted wanted);
  Peer* by_hash(const Pick& pick, Wanted wanted);
  Peer* by_lot();
  Peer* draw(const std::vector<Peer*>& candidates);
  void drop_oldest_idle();

  std::shared_ptr<const config::Upstream> upstream_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::map<std::string, std::vector<config::Address>> addresses_;  // By name, once it was answered.
  HashRing ring_;
  std::vector<Peer*> on_ring_;                                     // By their number there.
  std::vector<Peer*> candidates_;                                  // Of one choice; here to keep their memory.
  std::vector<Peer*> fewer_;
  std::minstd_rand lot_{std::random_device{}()};
};

}  // namespace beamgate::upstream
