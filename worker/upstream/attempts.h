// Attempts: whether a request may be passed to one more server.
//
// Owner    ProxyLeg.  Pure logic; that nothing was passed on yet and that the request is still held is the
//          leg's to know.
// Source   nginx's proxy_next_upstream, _tries and _timeout; RFC 9110 section 9.2.2: what isn't idempotent is
//          repeated only when asked for, or when nothing of it was sent.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/config/model.h"

namespace beamgate::upstream {

// Methods that may be repeated; TRACE never gets here.
bool is_idempotent(std::string_view method);

// The bit of "proxy_next_upstream" for a response's status; 0: there is none.
uint32_t next_upstream_bit(uint16_t status);

// Whether a status that is listed is the server's failure; a 403 or 404 is only an answer.
bool is_server_failure(uint16_t status);

class Attempts {
 public:
  Attempts(const config::BackendAction& settings, bool idempotent, int64_t now_ms)
      : settings_(settings), idempotent_(idempotent), began_ms_(now_ms) {}

  void begin() { ++count_; }  // The request is passed to a server.

  // After this one failed for `reason`, a NextUpstream; sent: it may have seen something of the request.
  bool may_go_on(uint32_t reason, bool sent, int64_t now_ms) const;

  // On a fresh connection to the same server, when a reused one was closed before an answer.
  bool may_repeat(bool sent) const;

 private:
  bool may_be_repeated(bool sent) const {
    return !sent || idempotent_ || (settings_.next_upstream & config::kNextNonIdempotent) != 0;
  }

  const config::BackendAction& settings_;
  const bool idempotent_;
  const int64_t began_ms_;
  uint32_t count_ = 0;
};

}  // namespace beamgate::upstream
