// Request head: the header fields of one call, in the form libcurl wants, in two blocks of memory.
//
// Owner      One per call.  list() borrows from it: it must outlive the transfer and not change meanwhile.
// Errors     Values are cut clean of everything that could end a field line; see header_text.h.
#pragma once

#include <curl/curl.h>

#include <string>
#include <string_view>
#include <vector>

namespace beamgate::hook {

class RequestHead {
 public:
  RequestHead() = default;
  RequestHead(RequestHead&&) = default;
  RequestHead& operator=(RequestHead&&) = default;

  // A value of our own making, or one that was validated as a field value: bytes that may not stand in one
  // become "?".
  void add(std::string_view name, std::string_view value);
  // Percent-encoded.  An empty value adds nothing.
  void add_encoded(std::string_view name, std::string_view value);
  // "name: value\r\n" lines.
  void add_lines(std::string_view lines);
  // Keeps libcurl from sending a field of its own.
  void suppress(std::string_view name);

  const std::string& text() const { return text_; }  // Lines, each ended by a zero byte.
  curl_slist* list();                                // Null when empty.

 private:
  void begin_line(std::string_view name);

  std::string text_;
  std::vector<size_t> starts_;
  std::vector<curl_slist> nodes_;
};

}  // namespace beamgate::hook
