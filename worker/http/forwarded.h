// Forwarded: the chain of proxies that a request has come through, read and continued.
//
// Source   RFC 7239 for Forwarded; X-Forwarded-For as everybody writes it, a list whose last member is the nearest.
// Trust    Only what is behind the last comma is surely the nearest proxy's.  Lists are therefore cut at every comma, in
//          quotes too, so that nothing that was begun further left can reach into it.
// Errors   What is malformed names nobody.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/client_address.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

// All fields of a name as one list (RFC 9110 section 5.3).
std::string joined_fields(const Request& request, std::string_view name);

// The for parameters of a Forwarded list, oldest first, without quotes; an element without one, or a malformed one,
// gives "".
std::vector<std::string> forwarded_nodes(std::string_view list);

// Who the client is, by what a trusted peer says; `peer` when it says nothing of use.
ClientAddress real_client(const Request& request, const config::RealIp& real_ip, const ClientAddress& peer);

// $proxy_add_x_forwarded_for: what a trusted peer has said, and who sent us this request.  What a stranger claims
// about others is not passed on.
std::string forwarded_for(const Request& request, const record::Record& record);

// $proxy_add_forwarded: the same as Forwarded says it.
std::string forwarded(const Request& request, const record::Record& record, std::string_view scheme);

}  // namespace beamgate::http
