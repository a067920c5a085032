// Frames: what a client of the Phoenix protocol is sent.
//
// Format     Serializer V2 (phoenix.js, serializer.js), text: [join_ref, ref, topic, event, payload]. Binary,
//            where all lengths are one byte:
//              00 | join_ref topic event lengths      | join_ref topic event      | payload    a push:
//              without a ref 01 | join_ref ref topic status lengths | join_ref ref topic status | payload a
//              reply 02 | topic event lengths               | topic event               | payload    a
//              broadcast
// Refs       JSON, as in Message.  Payloads: JSON for text frames.
// REQUIRES   Texts of binary frames have 255 bytes at most.
#pragma once

#include <string>
#include <string_view>

namespace beamgate::proto::phoenix {

enum class Status : bool { Error, Ok };
std::string_view name_of(Status status);

std::string text_frame(std::string_view join_ref, std::string_view ref, std::string_view topic,
                       std::string_view event, std::string_view payload);
std::string text_reply(std::string_view join_ref, std::string_view ref, std::string_view topic, Status status,
                       std::string_view response);
// Everyone's: no ref at all.
std::string text_broadcast(std::string_view topic, std::string_view event, std::string_view payload);

std::string binary_push(std::string_view join_ref, std::string_view topic, std::string_view event,
                        std::string_view payload);
std::string binary_reply(std::string_view join_ref, std::string_view ref, std::string_view topic,
                         Status status, std::string_view payload);
std::string binary_broadcast(std::string_view topic, std::string_view event, std::string_view payload);

// A binary frame of ours as a text frame, its payload {"base64":"..."}: for transports that carry only text.
// Empty for anything else.
std::string text_of_binary(std::string_view frame);

// {"reason":"..."}
std::string reason_json(std::string_view reason);

}  // namespace beamgate::proto::phoenix
