// Fields: which header fields may cross the gateway, in either direction.
//
// Source   RFC 9110 section 7.6.1 (Connection and the fields it names); CGI-style applications read "-" and
//          "_" as the same letter, so a client's field with "_" could pose as one of ours.
// Limits   kConnectionNamesMax names in all Connection fields of a message; a message with more is refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace beamgate::upstream {

// Fields that belong to one connection only, whether or not Connection names them.
bool is_hop_by_hop(std::string_view name);

// A client's field that never reaches an application: hop-by-hop, written anew by us, or able to pass for
// something that only the gateway or a trusted proxy in front of it may say.
// A name with "_" is let through only with `underscores`, and then only if it isn't one of those with "-" for "_".
bool is_dropped_from_request(std::string_view name, bool trusted_peer, bool underscores = false);

// A client's field that never becomes a script's HTTP_...: able to pass for another one, or for something that only
// the gateway or a trusted proxy in front of it may say; or untrue once the body has been read.
bool is_dropped_from_script(std::string_view name, bool trusted_peer, bool underscores = false);

// A backend's field that never reaches a client: it belongs to the connection, or frames the message.
bool is_dropped_from_response(std::string_view name);

// X-Accel-...: said to a proxy, not to the client.
bool is_order_for_proxy(std::string_view name);

// One that doesn't unless "proxy_pass_header" names it: said by us, or an order for the proxy.
bool is_hidden_from_response(std::string_view name);

// One that may not stand behind a body: framing, routing, and what a client acts upon before the body.
bool is_dropped_from_trailers(std::string_view name);

// Appends a field value; control bytes other than tab become %XX, so that no value can end its line.
void append_value(std::string_view value, std::string& out);

// The fields that Connection names, and "close".
class ConnectionNames {
 public:
  static constexpr size_t kConnectionNamesMax = 32;

  // One Connection field; the value must outlive this.  False: too many names.
  bool add(std::string_view value);
  bool contains(std::string_view name) const;
  void clear() { names_.clear(); }

 private:
  std::vector<std::string_view> names_;
};

}  // namespace beamgate::upstream
