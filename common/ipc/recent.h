// Recent: what the node has been through lately: its reloads and upgrades, and what went wrong.
//
// Owner      The master maps it before the first fork; zero bytes are nothing yet.
// Thread     history: written by the master.  troubles: each ring by the worker of its slot, the last by the master.
// Lifetime   Troubles outlive the worker that had them.  The history goes on over an upgrade; the troubles do where the
//            next binary keeps shared pages of the same layout.
#pragma once

#include "common/ipc/handover.h"
#include "common/ipc/recent_lines.h"

namespace beamgate::ipc {

struct Recent {
  RecentLines history;
  RecentLines troubles[kSlotsMax + 1];  // Lines of the error log from warn on.

  RecentLines& troubles_of_master() { return troubles[kSlotsMax]; }
};

}  // namespace beamgate::ipc
