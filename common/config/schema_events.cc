#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr Directive kRows[] = {
    {.name = "worker_connections",
     .scopes = kEvents,
     .set = store_number<&Config::worker_connections>,
     .syntax = "number",
     .fallback = "10000",
     .min = "1",
     .max = "16000000",
     .applies = Applies::Restart,
     .help = "Client connections that one worker holds; at the limit it stops accepting until one ends, and says so "
             "in the error log (worker_connections_full).  The control socket has a few places of its own.  Workers that "
             "run keep the number they were started with."},
    {.name = "connections_per_address",
     .scopes = kEvents,
     .set = store_number<&Config::connections_per_address>,
     .syntax = "number",
     .fallback = "0",
     .min = "0",
     .max = "16000000",
     .help = "Client connections of one address that one worker accepts, others are closed at once; "
             "0 sets no limit."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> events_directives() {
  return kRows;
}

}  // namespace beamgate::config
