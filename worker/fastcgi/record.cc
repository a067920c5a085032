#include "worker/fastcgi/record.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/bytes.h"

namespace beamgate::fastcgi {
namespace {

constexpr uint16_t kResponder = 1;
constexpr uint8_t kKeepConnection = 1;

void append_header(RecordType type, size_t content_bytes, std::string& out) {
  char header[kHeaderBytes] = {static_cast<char>(kVersion), static_cast<char>(type)};
  store_be(header + 2, kRequestId);
  store_be(header + 4, static_cast<uint16_t>(content_bytes));
  out.append(header, sizeof header);
}

}  // namespace

RecordHeader read_header(std::string_view bytes) {
  BG_ASSERT(bytes.size() >= kHeaderBytes);
  RecordHeader header;
  header.version = static_cast<uint8_t>(bytes[0]);
  header.type = static_cast<uint8_t>(bytes[1]);
  header.request_id = load_be<uint16_t>(bytes.data() + 2);
  header.content_bytes = load_be<uint16_t>(bytes.data() + 4);
  header.padding_bytes = static_cast<uint8_t>(bytes[6]);
  return header;
}

void append_begin(bool keep_connection, std::string& out) {
  char content[8] = {};
  store_be(content, kResponder);
  content[2] = static_cast<char>(keep_connection ? kKeepConnection : 0);
  append_stream(RecordType::BeginRequest, {content, sizeof content}, out);
}

void append_stream(RecordType type, std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), kContentBytesMax);
    append_header(type, part, out);
    out.append(bytes.substr(0, part));
    bytes.remove_prefix(part);
  }
}

void append_stream_end(RecordType type, std::string& out) { append_header(type, 0, out); }

}  // namespace beamgate::fastcgi
