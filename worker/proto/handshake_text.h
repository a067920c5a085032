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

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::proto {

struct HandshakeText {
  std::string_view publish_channel;
  std::string_view session;         // What the protocol has to remember of the connection: JSON in one line, or empty.
  std::string_view forward_fields;
};

std::string encode_handshake(const HandshakeText& text);
HandshakeText decode_handshake(std::string_view text);  // Views into `text`.

// The session of an open connection, which its protocol may change.  set_session: false when the arena is full.
std::string_view session_of(const record::Arena& arena, const record::Record& record);
bool set_session(record::Arena& arena, record::Record& record, std::string_view session);

// The lines of the listed fields, names in lower case.
std::string forwarded_fields(const std::vector<http::Field>& fields, const std::vector<std::string>& listed);

// Of a client's first call: where it comes from and whom it asked for.
std::string address_fields(const http::Request& request);

// Of every call: what the webhook lists, what the client's certificate says, and with "grip on" what it has asked for.
std::string kept_fields(const http::Request& request, const config::Webhook& webhook);

// Path and query, what may not stand in a URL percent-encoded.
std::string uri_field(const http::Request& request);

// What is known of the client's certificate, as lines of the same kind; empty where none was asked for.
std::string certificate_fields(const tls::Negotiated* tls);

}  // namespace beamgate::proto
