// Frames: the JSON objects of the Pusher protocol, one per WebSocket message.
//
// Source   Protocol 7.  "data" of what the server sends is always a string; of an event that is what was published, to
//          the byte, and of the protocol's own events it holds JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/ipc/messages.h"
#include "common/json/value.h"

namespace beamgate::pusher {

// The codes of pusher:error; up to 4299 they close the connection as well.
enum ErrorCode : uint16_t {
  kErrorNone = 0,
  kErrorUnknownApp = 4001,
  kErrorBadVersion = 4006,
  kErrorBadProtocol = 4007,
  kErrorNoProtocol = 4008,
  kErrorUnauthorized = 4009,
  kErrorOverCapacity = 4100,   // Comes back in a second.
  kErrorReconnect = 4200,      // Comes back at once.
  kErrorInactive = 4201,
  kErrorClientEvent = 4301,    // These are never codes of a Close: the client would stay away for good.
  kErrorWatchlist = 4302,
};

struct ClientFrame {
  std::string event;
  std::string channel;  // Empty where there is none.
  json::Value data;     // Of pusher: events never a string that holds JSON: that has been taken apart.
};

// Nothing for what is no frame: no JSON object, or without an event.
std::optional<ClientFrame> parse_frame(std::string_view text);

// data: nothing leaves it out.  user_id: empty leaves it out.
std::string event_frame(std::string_view event, std::string_view channel, std::optional<std::string_view> data,
                        std::string_view user_id = {});
std::string error_frame(uint16_t code, std::string_view message);
std::string established_frame(std::string_view socket_id, int64_t activity_timeout_s);
std::string subscription_error_frame(std::string_view channel, std::string_view type, std::string_view error,
                                     uint16_t status);

// The event of a publication: its origin's, or "message" where it has none; bytes that are no text become base64.
// Empty for one whose event is the server's own to send.
std::string publication_frame(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                              const ipc::Origin& origin);
// The id of a user, which may be a number and is a text everywhere else; empty for what is neither.
std::string user_text(const json::Value& id);

bool is_reserved_event(std::string_view event);  // "pusher:..." and "pusher_internal:...".

// "data" of a presence channel's subscription_succeeded.  Users that are not listed are only counted.
std::string presence_data(uint32_t users, bool listed, std::span<const ipc::Member> members);
std::string member_added_data(std::string_view user, std::string_view info);
std::string member_removed_data(std::string_view user);
// "data" of subscription_count, in a presence channel whose members are only counted.
std::string counted_data(uint32_t users, uint32_t connections);

}  // namespace beamgate::pusher
