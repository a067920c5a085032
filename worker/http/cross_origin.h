// Cross-origin: which web pages may use what a location answers (Origin, and the Fetch standard's CORS protocol).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

// No origins: all are allowed, as is a request without Origin, which comes from no browser.
bool origin_allowed(const Request& request, const std::vector<std::string>& origins);

// What lets the request's page read the answer; for a page of the same origin nothing is needed.
std::vector<ResponseField> cross_origin_fields(const Request& request, const config::CrossOrigin& settings,
                                               std::string_view exposed_fields = {});

// Answers a preflight request for GET; false: it is none.
bool answer_preflight(Exchange& exchange, const config::CrossOrigin& settings, std::string_view allowed_fields);

}  // namespace beamgate::http
