// Context: what the parts of a worker share, passed by reference instead of globals.
//
// Owner      Worker (worker/worker.h) makes the parts in this order and ends them in reverse.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "common/log/log.h"
#include "common/metrics/metrics.h"

namespace beamgate {

class Settings;
namespace uv {
class Loop;
}
namespace record {
class Arena;
}
namespace net {
class Poller;
class Connections;
}  // namespace net
namespace ipc {
class RateTable;
struct Recent;
struct Switches;
}
namespace hub {
class Hub;
class Remote;
}  // namespace hub
namespace hook {
class Webhooks;
}

struct Context {
  uint16_t slot = 0;
  uint16_t worker = 0;
  uint32_t generation = 0;  // Of the configuration in force.
  uv::Loop& loop;
  log::Log& log;
  metrics::Page& metrics;
  std::vector<const metrics::Page*> metrics_all;
  Settings& settings;
  record::Arena& arena;
  net::Poller& poller;
  net::Connections& connections;
  ipc::RateTable* rates = nullptr;  // Of limit_req; null: it limits nothing.
  ipc::Switches* switches = nullptr;
  ipc::Recent* recent = nullptr;
  uint64_t address_seed = 0;        // The node's key for hashing what strangers choose.
  hub::Hub& hub;
  hub::Remote& remote;
  hook::Webhooks& webhooks;
  int64_t started_ms = 0;  // Unix time at which the node began (Handover::started_ms); 0: not known.
};

}  // namespace beamgate
