// Socket id: a connection's name in the Pusher protocol, "<digits>.<digits>": the halves of its uid (record/uid.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace beamgate::pusher {

std::string format_socket_id(uint64_t uid);
std::optional<uint64_t> parse_socket_id(std::string_view text);  // Nothing for what format_socket_id() never writes.

}  // namespace beamgate::pusher
