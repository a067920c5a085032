// Bus wait: who goes on publishing when the bus has room again.
//
// Owner      Whatever publishes or subscribes for clients has one of its own, as a value member.
// Thread     Worker loop thread only.
// Limits     A connection waits at most once; its reads are paused (kPauseBus) meanwhile, so there are at most
//            as many waiting as connections, plus those that went away while they waited.
#pragma once

#include <functional>
#include <vector>

#include "worker/context.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class BusWait {
 public:
  using GoOn = std::function<void()>;

  explicit BusWait(Context& context);

  // go_on runs even when the connection goes meanwhile: what it publishes may not depend on that.
  void wait(record::ConnId id, GoOn go_on);

 private:
  struct Waiting {
    record::ConnId id;
    GoOn go_on;
  };

  void on_room();

  Context& context_;
  std::vector<Waiting> waiting_;
};

}  // namespace beamgate::proto
