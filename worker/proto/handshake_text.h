// Handshake text: what the raw mode needs of an upgrade request for as long as the connection lives.
//
// Format     "<channel of websocket_publish>\n<forwarded fields, each "name: value\r\n">"; Record::handshake.
//            Empty when both are: an idle connection of an open hub keeps nothing but its channel.
// Trust      Fields come from the client: only those that forward_headers lists, never one that an
//            application could take for BeamGate's own word, whatever its case and with "_" for "-" or not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/exchange.h"

namespace beamgate::proto {

struct HandshakeText {
  std::string_view publish_channel;
  std::string_view forward_fields;
};

std::string encode_handshake(const HandshakeText& text);
HandshakeText decode_handshake(std::string_view text);  // Views into `text`.

// The lines of the listed fields, names in lower case.
std::string forwarded_fields(const std::vector<http::Field>& fields, const std::vector<std::string>& listed);

// What is known of the client's certificate, as lines of the same kind; empty where none was asked for.
std::string certificate_fields(const tls::ServerSession* tls);

}  // namespace beamgate::proto
