// Shapes: publications, clients and members as Centrifuge's JSON has them, for its clients and for the server API.
//
// Data     JSON as it is; text that is valid JSON as well, any other text as a JSON string; binary as base64 in one.
//          No newline: in a frame it ends a message.
// Origin   The event of a publication is its tag "event"; who has published it, connection and user, is "info".
// Info     A member's own JSON is "conn_info"; of one that has a "chan_info" as well, from its subscription's token,
//          member_info() has made one JSON of both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"

namespace beamgate::proto::centrifuge {

void append_data(std::string& out, ipc::PayloadKind kind, std::string_view payload);

// {"data":...,"offset":N,"tags":{...},"info":{...}}; offset 0 is left out.
// source: the channel, where the subscription is to a pattern; it is a tag then.
void append_publication(std::string& out, ipc::PayloadKind kind, std::string_view payload, const ipc::Origin& origin,
                        uint64_t offset, std::string_view source = {});

// [{...},...]
void append_publications(std::string& out, const std::vector<ipc::Past>& publications);

// What the hub keeps of a member; either may be empty.
std::string member_info(std::string_view conn_info, std::string_view chan_info);

// {"client":"...","user":"...","conn_info":...,"chan_info":...}
void append_client(std::string& out, const ipc::Member& member);

// {"CLIENT":{...},...}
void append_members(std::string& out, const std::vector<ipc::Member>& members);

// "name":"text" and so on, without a comma.
void append_field(std::string& out, std::string_view name, std::string_view text);
void append_field(std::string& out, std::string_view name, uint64_t number);

}  // namespace beamgate::proto::centrifuge
