// Caller: carries the calls of one endpoint to its application and back, over one protocol.
//
// Owner      Shared by the Endpoint and the jobs that began with it: changed settings get a new one.
// Thread     Worker loop thread only.
// Ending     A call ends once, through the OnEnd its caller was made with, and never within start().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/metrics/metrics.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

struct Job;

// One call on the wire.  Its destruction cuts it short, untold.
class Transfer {
 public:
  virtual ~Transfer() = default;
};

// How a call has ended; Answered: the job's reader has the whole reply.
struct Ending {
  Outcome outcome = Outcome::Unreachable;
  uint16_t status = 0;
  const char* detail = "";  // For the log; static.
  metrics::Metric unreachable = metrics::Metric::WebhookFailuresClosed;  // What an Unreachable is counted as.
};

class Caller {
 public:
  using OnEnd = std::function<void(Job&, const Ending&)>;

  virtual ~Caller() = default;

  // Sends the job's head and body, and fills its reader, within left_ms.  The job outlives the transfer.
  virtual std::unique_ptr<Transfer> start(Job& job, int64_t left_ms) = 0;
};

}  // namespace beamgate::hook
