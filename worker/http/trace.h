// Trace: what is noted about a request while it is answered, for its variables: $proxy_host, $upstream_..., $sent_http_...
//
// Owner    The Request.
// Fields   Copies of a response's fields cost time and memory, so they are kept only where the configuration asks for
//          one of them (config::Http::traces_upstream_fields, traces_sent_fields).
// Source   nginx's ngx_http_upstream_module: "Embedded Variables".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config/model.h"

namespace beamgate::http {

struct ResponseField {
  std::string name;
  std::string value;
};

// How far an attempt to have a request answered by a server behind proxy_pass or fastcgi_pass has come.
struct UpstreamProgress {
  uint16_t status = 0;       // 0: there is none yet.
  int64_t began_ms = 0;      // Monotonic, as those below; 0: not yet.
  int64_t connected_ms = 0;
  int64_t head_ms = 0;
  int64_t ended_ms = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t body_bytes = 0;
};

struct UpstreamAttempt : UpstreamProgress {
  std::string server;      // Its address; the upstream's name where there was none to choose.
  bool elsewhere = false;  // The first of another location, to which error_page has led.
};

// Where proxy_pass with variables leads.
struct ProxyDestination {
  std::shared_ptr<const config::Upstream> upstream;
  std::string host;  // And port, as the default Host says it.
  std::string uri;   // Instead of the request's own; empty: that one goes on.
};

struct Trace {
  std::shared_ptr<const ProxyDestination> destination;  // Null: as the location's proxy_pass says.
  std::vector<UpstreamAttempt> attempts;
  std::vector<ResponseField> upstream_fields;           // Of the latest head from a server.
  std::vector<ResponseField> sent_fields;

  void clear();
};

}  // namespace beamgate::http
