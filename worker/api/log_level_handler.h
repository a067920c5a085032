// LogLevelHandler: the level of the error log, told and changed, for a location with "log_level_switch on".
//
//   GET                 {"level":"info","configured":"notice"}
//   POST ?level=LEVEL   the same, as it is now; "configured" as a level goes back to what the configuration says
// Owner      Worker; one per process.  All processes of the node follow within a second.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class LogLevelHandler final : public http::Handler {
 public:
  explicit LogLevelHandler(Context& context) : context_(context) {}

  void handle(http::Exchange& exchange) override;

 private:
  Context& context_;
};

}  // namespace beamgate::api
