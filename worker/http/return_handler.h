// Return handler: "return CODE [text]", "return CODE URL", "return URL".
//
// 444 closes the connection without an answer, as in nginx.
#pragma once

#include "worker/http/exchange.h"

namespace beamgate::http {

class ReturnHandler final : public Handler {
 public:
  void handle(Exchange& exchange) override;
};

// An absolute URL for a Location field: what begins with "/" is put behind scheme, host and port as the
// client named them.
std::string absolute_location(const Request& request, std::string_view target);

}  // namespace beamgate::http
