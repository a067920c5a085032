// Request head: a header list of HTTP/2, written out as the HTTP/1.1 head that means the same.
//
// It is then read by the one parser of all requests (http/request_parser.h), so that nothing can be smuggled through
// HTTP/2 that HTTP/1.1 would not let in: what has a line break, a space too many or a second Host in it never gets
// further than there.  A WebSocket's extended CONNECT is the GET with Upgrade that it stands for, so that handshakes,
// webhooks and backends of HTTP/1.1 need to know of no other.
//
// Owner    Session, while a header block comes in.
// Limits   http::HeadLimits: what is above is counted, but not kept.
// Source   RFC 9113 section 8.3, RFC 8441 section 4.  That pseudo-header fields come first and once, that names are in
//          lower case, and that no field belongs to one connection, nghttp2 has checked.
#pragma once

#include <string>
#include <string_view>

#include "worker/http/head_scan.h"
#include "worker/http/request_parser.h"

namespace beamgate::http2 {

class RequestHead {
 public:
  explicit RequestHead(const http::HeadLimits& limits) : limits_(limits) {}

  void add(std::string_view name, std::string_view value);

  // Writes the head to `text` and reads it into `request`, which then borrows from it.  has_body: the stream hasn't
  // ended with the head.  websocket_key: of a handshake, if it turns out to be one.
  http::Verdict read(bool has_body, std::string_view websocket_key, std::string& text, http::Request& request);

  bool for_websocket() const { return protocol_ == "websocket"; }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kPseudoFields = 5;

  bool is_too_long() const;
  http::Verdict check() const;
  uint32_t write(std::string_view websocket_key, std::string& text) const;

  const http::HeadLimits limits_;
  std::string method_;
  std::string path_;
  std::string authority_;
  std::string scheme_;
  std::string protocol_;
  std::string host_;
  std::string key_;
  std::string cookie_;   // Its crumbs, joined (RFC 9113 section 8.2.3).
  std::string fields_;   // Lines of the others.
  size_t bytes_ = 0;     // Of the list, as RFC 9113 section 6.5.2 counts them, without the 32 for each.
  uint32_t count_ = 0;
  uint32_t lines_ = 0;   // Of fields_.
  bool has_host_ = false;
  bool malformed_ = false;
  bool line_too_long_ = false;
};

}  // namespace beamgate::http2
