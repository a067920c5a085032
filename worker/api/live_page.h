// LivePage: the built-in page of a location with "live_page on": a chat room and live counters in the browser.
//
// Owner      Worker; one per process.
// Files      worker/api/live/, compiled in; index.html answers for the location itself, the others for their
//            names below it, everything else is 404.  The page asks nothing of any other host.
// Security   A Content-Security-Policy that allows this origin's own script, style, picture and connections.
#pragma once

#include "worker/api/embedded_files.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

extern const EmbeddedFile kLiveFiles[];
extern const size_t kLiveFileCount;

class LivePage final : public http::Handler {
 public:
  LivePage();

  void handle(http::Exchange& exchange) override;

 private:
  const EmbeddedFiles files_;
};

}  // namespace beamgate::api
