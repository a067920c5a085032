// Job: one call on its way: waiting, in flight, or settled and about to be told.
//
//   Waiting  -- a place is free ----------> InFlight
//   Waiting  -- timeout, breaker opens ---> Settled
//   InFlight -- the transfer ends --------> (told at once and gone)
//   new      -- refused ------------------> Settled
//   Settled  -- next loop turn -----------> (told and gone)
// A cancelled job is gone from every stage, untold.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "worker/hook/caller.h"
#include "worker/hook/reply_reader.h"
#include "worker/hook/request_head.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

class Endpoint;

struct Job {
  enum class Stage : uint8_t { Waiting, InFlight, Settled };

  Job(uint64_t id_, Endpoint& endpoint_, uint64_t reply_bytes_max)
      : id(id_), endpoint(endpoint_), reader(reply_bytes_max) {}

  const uint64_t id;
  Refusals refusals = Refusals::Any;
  uint64_t uid = 0;  // Of the connection that it is for; 0: for none.
  Endpoint& endpoint;
  Webhooks::OnReply done;
  RequestHead head;
  std::string target;       // Path and query, where the endpoint's url has none of its own; or empty.
  std::string body;
  int64_t deadline_ms = 0;  // Monotonic; of the whole call, its waiting included.
  int64_t started_us = 0;   // Monotonic; when it became InFlight.
  Stage stage = Stage::Settled;
  Outcome settled = Outcome::Overloaded;
  std::list<Job*>::iterator place;  // In the endpoint's queue, while Waiting.
  ReplyReader reader;
  std::shared_ptr<Caller> caller;   // While InFlight, as is the next.
  std::unique_ptr<Transfer> transfer;
};

}  // namespace beamgate::hook
