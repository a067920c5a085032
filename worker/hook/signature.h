// Signature: how the application knows that a call is ours.
//
// Source   Standard Webhooks 1.0.0, symmetric: HMAC-SHA256 over "<id>.<timestamp>.<body>", base64, "v1,".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"

namespace beamgate::hook {

// The value of webhook-signature: one signature for each key, separated by spaces, so that a receiver may
// know the old or the new secret during a rotation.  Empty without keys: the call goes unsigned.
// id has no dot; timestamp is in Unix seconds.
std::string sign(const std::vector<Secret>& keys, std::string_view id, int64_t timestamp,
                 std::string_view body);

}  // namespace beamgate::hook
