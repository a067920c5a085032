// Return answer: "return CODE [text]", "return CODE URL", "return URL", and redirects in general.
//
// 444 closes the connection without an answer, as in nginx.
#pragma once

#include <string>
#include <string_view>

#include "common/config/script.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

void answer_return(Exchange& exchange, const config::ReturnAction& action);

// 301, 302, 303, 307 or 308 to a URL or a path of this server.
void answer_redirect(Exchange& exchange, uint16_t status, std::string_view target);
bool is_redirect(uint16_t status);

// An absolute URL for a Location field: what begins with "/" is put behind scheme, host and port as the
// client named them.
std::string absolute_location(const Request& request, std::string_view target);

}  // namespace beamgate::http
