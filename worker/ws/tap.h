// Tap: lets an administrator see what connections of a user receive and send.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Cost       One word that is looked at for each message, while nobody looks at anybody.
#pragma once

#include <string_view>

#include "common/ipc/switches.h"
#include "worker/context.h"
#include "worker/net/connections.h"
#include "worker/record/record.h"

namespace beamgate::ws {

class Tap {
 public:
  // As it is written in front of what is shown.
  enum class Way : char { Received = '<', Sent = '>', Event = '*' };

  explicit Tap(const Context& context) : connections_(context.connections), switches_(context.switches) {}
  virtual ~Tap() = default;

  // Somebody looks, at this connection's user or at another.
  bool looks_at(const record::Record& record) const {
    return record.user != record::kNull && switches_ != nullptr && switches_->taps.any(connections_.now_ms());
  }
  // Nothing is closed meanwhile but, maybe, the connection that is shown it.
  virtual void show(const record::Record& record, Way way, bool binary, std::string_view payload) = 0;

 protected:
  const net::Connections& connections_;
  ipc::Switches* const switches_;  // Null: there are no taps.
};

}  // namespace beamgate::ws
