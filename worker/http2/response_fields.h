// Response fields: a response's head as a header list of HTTP/2 (RFC 9113 section 8.2 and 8.3.2).
//
// Names are in lower case; what belongs to a connection of HTTP/1 is left out, and so is a field whose name is no
// token.  CR, LF and NUL in a value become spaces, and white space around it goes.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "worker/http/response_head.h"

namespace beamgate::http2 {

class ResponseFields {
 public:
  void add(std::string_view name, std::string_view value);
  void add_status(uint16_t status);

  // A whole head; its Content-Length is what head says.
  void add_head(const http::ResponseHead& head, const http::ResponseContext& context);
  void add_all(const std::vector<http::ResponseField>& fields);

  // Good until the next change.
  std::vector<nghttp2_nv>& list();
  void clear();

 private:
  struct Span {
    size_t name = 0;
    size_t name_bytes = 0;
    size_t value_bytes = 0;  // Right behind the name.
  };
  std::string text_;
  std::vector<Span> spans_;
  std::vector<nghttp2_nv> list_;
};

}  // namespace beamgate::http2
