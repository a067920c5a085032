// Outbound node: one entry of a connection's outbound queue, in the arena.
#pragma once

#include "worker/record/arena.h"

namespace beamgate::net {

struct OutboundNode {
  record::Ref next = record::kNull;
  record::Ref frame = record::kNull;
};

}  // namespace beamgate::net
