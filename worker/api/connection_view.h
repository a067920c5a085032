// Connection view: one connection as the JSON object that GET /connections/<id> shows.
//
// Fields  id, user, protocol, location, peer, connected_at, bytes_received, bytes_sent, messages_received,
//         messages_sent, bytes_queued, channels, worker.
#pragma once

#include <string>

#include "worker/context.h"
#include "worker/record/record.h"

namespace beamgate::api {

std::string describe_connection(const Context& context, const record::Record& record);

// "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:".
std::string format_peer(const record::Record& record);

}  // namespace beamgate::api
