#include "worker/upstream/attempts.h"

namespace beamgate::upstream {

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

uint32_t next_upstream_bit(uint16_t status) {
  switch (status) {
    case 403:
      return config::kNext403;
    case 404:
      return config::kNext404;
    case 429:
      return config::kNext429;
    case 500:
      return config::kNext500;
    case 502:
      return config::kNext502;
    case 503:
      return config::kNext503;
    case 504:
      return config::kNext504;
    default:
      return 0;
  }
}

bool is_server_failure(uint16_t status) { return status != 403 && status != 404; }

bool Attempts::may_go_on(uint32_t reason, bool sent, int64_t now_ms) const {
  if ((settings_.next_upstream & reason) == 0 || !may_be_repeated(sent)) return false;
  if (settings_.next_upstream_tries != 0 && count_ >= settings_.next_upstream_tries) return false;
  return settings_.next_upstream_timeout_ms == 0 || now_ms - began_ms_ < settings_.next_upstream_timeout_ms;
}

bool Attempts::may_repeat(bool sent) const {
  return (settings_.next_upstream & config::kNextError) != 0 && may_be_repeated(sent);
}

}  // namespace beamgate::upstream
