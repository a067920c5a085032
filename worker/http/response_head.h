// Response head: status line and fields, written so that nothing in a value can end a line.
//
// Source   RFC 9112 sections 4 to 6.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/exchange.h"

namespace beamgate::http {

// How the client knows where the body ends.
enum class Framing : uint8_t { NoBody, Length, Chunked, UntilClose };

struct ResponseContext {
  std::string_view method;  // Of the request; HEAD has no body.
  int version_minor = 1;    // Of the request.
  bool keep_alive = true;   // What both sides have agreed to so far.
  std::string_view date;    // IMF-fixdate.
  std::string_view server;  // Server's value.
  int64_t keep_alive_s = 0;  // What Keep-Alive says of a connection that is kept; 0: nothing.
};

struct FramingChoice {
  Framing framing = Framing::NoBody;
  bool keep_alive = true;  // False where only the end of the connection delimits the body.
};

FramingChoice choose_framing(const ResponseHead& head, const ResponseContext& context);

// Appends the whole head with its empty line.  Fields that frame the message or name the connection are
// left out of head.fields: they are written here and nowhere else.  A Date or Server of head.fields stands in
// for ours.
void write_response_head(const ResponseHead& head, const FramingChoice& choice,
                         const ResponseContext& context, std::string& out);

// Appends "name: value CRLF".  CR, LF and NUL in a value become spaces; a name that is no token is left out
// with its value.
void write_field(std::string_view name, std::string_view value, std::string& out);

// A 1xx with these fields, what frames a message left out.
void write_interim_head(uint16_t status, const std::vector<ResponseField>& fields, std::string& out);

// "101 Switching Protocols" with these fields, Connection and Upgrade included in them.
void write_switching_head(const std::vector<ResponseField>& fields, std::string_view server,
                          std::string& out);

// One chunk's size line; its data and CRLF follow.
void write_chunk_size(size_t bytes, std::string& out);

}  // namespace beamgate::http
