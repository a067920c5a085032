// Pick key: what of a request decides on the server, where the upstream's method looks at the request.
//
// Source   nginx: "hash" takes its key as it expands, "ip_hash" the first three bytes of an IPv4 address and all
//          of an IPv6 address.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/config/model.h"
#include "worker/http/exchange.h"
#include "worker/record/record.h"

namespace beamgate::upstream {

// 0 for the methods that don't look.
uint32_t pick_key(const config::Balancing& balancing, const http::Request& request, const record::Record& record);

// Of a client's address, as text.
uint32_t address_key(std::string_view address);

}  // namespace beamgate::upstream
