// Signed request: whether a request to Pusher's HTTP API comes from the application.
//
// Source   Pusher HTTP API v1, "generating authentication signatures": HMAC-SHA256 over method, path and the sorted query,
//          in three lines; the body is in it by its MD5, the time by auth_timestamp.
// Forms    Libraries sign the path with the prefix that a proxy has put before "/apps/", or without it, as it is sent or
//          before it was percent-encoded, and values of the query in either form as well: any of these is good.
// Errors   One static text for each way to be wrong, for the answer's body; nothing in it helps to guess.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config/model.h"

namespace beamgate::api::pusher {

inline constexpr int64_t kClockSkewSeconds = 600;

struct SignedRequest {
  std::string_view method;
  std::string_view raw_path;  // As received, without the query.
  std::string_view path;      // Percent-decoded.
  std::string_view query;     // As received.
  std::string_view body;
};

// Null: it is the application's.
const char* refuse_request(const config::App& app, const SignedRequest& request, int64_t now_s);

// The query's parameters in their order, keys in lower case; percent-decoded or as they are.
std::vector<std::pair<std::string, std::string>> query_parameters(std::string_view query, bool decode);

}  // namespace beamgate::api::pusher
