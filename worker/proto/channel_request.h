// Channel request: what a request for channels by plain HTTP asks for, as sse and longpoll understand it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::proto {

struct RequestedChannel {
  std::string name;
  bool by_client = false;  // The configuration alone doesn't name it: its own rules decide.
};

// The channels of the request, each once, in the order that the configuration and the query name them.
std::vector<RequestedChannel> requested_channels(http::Exchange& exchange, const config::ChannelList& list);

// The tokens that the request shows: of "Authorization: Bearer", else of all arguments "token".
std::vector<std::string> shown_tokens(const http::Request& request);

// All values of an argument in the query, percent-decoded.
std::vector<std::string> arguments_of(const http::Request& request, std::string_view name);

}  // namespace beamgate::proto
