// Channel request: what a request for channels by plain HTTP asks for, as sse and longpoll understand it.
#pragma once

#include <cstdint>
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

// What the tokens say that a request shows, in "Authorization: Bearer" or else in all of its arguments "token".
struct ShownTokens {
  bool any = false;
  bool valid = false;      // There is one, and all are good and of the same user.
  std::string user;
  int64_t expires_s = 0;   // Unix time at which the first one ends; 0: none does.
  std::vector<std::string> channels;  // Those that they name, by "channel" or "channels".
};
ShownTokens read_tokens(const http::Request& request, const config::TokenRules& rules);

// All values of an argument in the query, percent-decoded.
std::vector<std::string> arguments_of(const http::Request& request, std::string_view name);

}  // namespace beamgate::proto
