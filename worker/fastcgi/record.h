// Record: the frames of FastCGI, in which a request and its response are cut.
//
// Source   FastCGI 1.0 sections 3.3, 3.4, 5.1 and 8.  One request at a time on a connection: its id is always
//          kRequestId.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::fastcgi {

enum class RecordType : uint8_t {
  BeginRequest = 1,
  AbortRequest = 2,
  EndRequest = 3,
  Params = 4,
  Stdin = 5,
  Stdout = 6,
  Stderr = 7,
};

inline constexpr uint8_t kVersion = 1;
inline constexpr uint16_t kRequestId = 1;
inline constexpr size_t kHeaderBytes = 8;
inline constexpr size_t kEndRequestBytes = 8;
inline constexpr size_t kContentBytesMax = 0xfff8;  // Of a record of ours; the next multiple of 8 doesn't fit.

struct RecordHeader {
  uint8_t version = 0;
  uint8_t type = 0;
  uint16_t request_id = 0;
  uint16_t content_bytes = 0;
  uint8_t padding_bytes = 0;
};

RecordHeader read_header(std::string_view bytes);  // REQUIRES: kHeaderBytes of them.

// FCGI_BEGIN_REQUEST for the role of a responder.
void append_begin(bool keep_connection, std::string& out);

// Bytes of a stream, in as many records as they need; none for none.
void append_stream(RecordType type, std::string_view bytes, std::string& out);

// The empty record that ends a stream.
void append_stream_end(RecordType type, std::string& out);

}  // namespace beamgate::fastcgi
