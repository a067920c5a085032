#include "worker/fastcgi/params.h"

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "worker/fastcgi/record.h"

namespace beamgate::fastcgi {
namespace {

// One byte, or four with the highest bit set.
void append_length(size_t length, std::string& out) {
  BG_ASSERT(length <= INT32_MAX);
  if (length < 0x80) {
    out += static_cast<char>(length);
    return;
  }
  char bytes[4];
  store_be(bytes, static_cast<uint32_t>(length) | 0x80000000u);
  out.append(bytes, sizeof bytes);
}

}  // namespace

void append_param(std::string_view name, std::string_view value, std::string& out) {
  append_length(name.size(), out);
  append_length(value.size(), out);
  out.append(name);
  out.append(value);
}

std::string http_param_name(std::string_view field) {
  std::string out = "HTTP_";
  for (const char c : field) {
    if (c >= 'a' && c <= 'z') {
      out += static_cast<char>(c - ('a' - 'A'));
    } else {
      out += c == '-' ? '_' : c;
    }
  }
  return out;
}

void append_params(std::string_view pairs, std::string& out) {
  append_stream(RecordType::Params, pairs, out);
  append_stream_end(RecordType::Params, out);
}

}  // namespace beamgate::fastcgi
