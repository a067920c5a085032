// Upgrade requests for handshake tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/http/exchange.h"

namespace beamgate::ws::testing {

// Owns the text that the request's views borrow.
class UpgradeRequest {
 public:
  UpgradeRequest() {
    set("Host", "example.com");
    set("Upgrade", "websocket");
    set("Connection", "Upgrade");
    set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    set("Sec-WebSocket-Version", "13");
  }
  // Replaces; an empty value removes.
  UpgradeRequest& set(const std::string& name, const std::string& value) {
    std::erase_if(fields_, [&](const auto& field) { return field.first == name; });
    return value.empty() ? *this : add(name, value);
  }
  UpgradeRequest& add(const std::string& name, const std::string& value) {
    fields_.emplace_back(name, value);
    return *this;
  }
  const http::Request& get() {
    request.fields.clear();
    for (const auto& [name, value] : fields_) request.fields.push_back({name, value});
    return request;
  }

  http::Request request = plain();

 private:
  static http::Request plain() {
    http::Request request;
    request.method = "GET";
    request.target = "/";
    request.path = "/";
    return request;
  }
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace beamgate::ws::testing
