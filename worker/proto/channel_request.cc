#include "worker/proto/channel_request.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/crypto/jwt.h"
#include "common/ipc/messages.h"
#include "worker/http/grammar.h"

namespace beamgate::proto {
namespace {

std::vector<std::string> shown_tokens(const http::Request& request) {
  const std::string_view authorization = request.field("Authorization");
  const size_t space = authorization.find(' ');
  if (space != std::string_view::npos && iequals(authorization.substr(0, space), "bearer")) {
    return {std::string(trim(authorization.substr(space + 1)))};
  }
  return arguments_of(request, "token");
}

}  // namespace

std::vector<std::string> arguments_of(const http::Request& request, std::string_view name) {
  std::vector<std::string> values;
  for (std::string_view rest = request.query; !rest.empty();) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) {
      values.push_back(http::percent_decode(pair.substr(std::min(equals + 1, pair.size())), true));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return values;
}

ShownTokens read_tokens(const http::Request& request, const config::TokenRules& rules) {
  ShownTokens shown;
  for (const std::string& token : shown_tokens(request)) {
    const crypto::Jwt jwt = rules.verifier->verify(token, wall_ms() / 1000);
    const std::string user = crypto::claim_text(jwt.claims, rules.user_claim);
    const bool other_user = shown.any && user != shown.user;
    shown.any = true;
    shown.valid = jwt.valid() && user.size() <= ipc::kUserBytesMax && !other_user;
    if (!shown.valid) return shown;
    shown.user = user;
    if (jwt.expires_s != 0) {
      shown.expires_s = shown.expires_s == 0 ? jwt.expires_s : std::min(shown.expires_s, jwt.expires_s);
    }
    if (const auto channel = jwt.claims.get_string("channel")) shown.channels.emplace_back(*channel);
    const json::Value::Array* channels = jwt.claims.get_array("channels");
    if (channels == nullptr) continue;
    for (const json::Value& channel : *channels) shown.channels.emplace_back(channel.as_string().value_or(""));
  }
  return shown;
}

std::vector<RequestedChannel> requested_channels(http::Exchange& exchange, const config::ChannelList& list) {
  std::vector<RequestedChannel> channels;
  const auto add = [&](std::string name, bool by_client) {
    const auto same = [&](const RequestedChannel& other) { return other.name == name; };
    if (std::none_of(channels.begin(), channels.end(), same)) channels.push_back({std::move(name), by_client});
  };
  for (const config::Template& name : list.names) {
    std::string channel;
    http::expand(name, exchange.request(), exchange.record(), channel);
    add(std::move(channel), !name.constant());
  }
  if (list.argument.empty()) return channels;
  for (std::string& channel : arguments_of(exchange.request(), list.argument)) add(std::move(channel), true);
  return channels;
}

}  // namespace beamgate::proto
