// Long-poll token: the name of a session, which only its client knows: the connection's id and a secret.
//
// Format     16 hexadecimal digits, ".", 32 hexadecimal digits.  The id tells the worker that has the
// session.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace beamgate::proto::phoenix {

std::string make_token(uint64_t uid);
// The connection's id; nothing for a text that is no token.
std::optional<uint64_t> uid_of_token(std::string_view token);

}  // namespace beamgate::proto::phoenix
