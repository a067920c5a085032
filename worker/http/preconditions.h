// Preconditions: If-Match and its kin against a file's validators (RFC 9110 section 13).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/http/exchange.h"

namespace beamgate::http {

struct Validators {
  std::string etag;      // Strong, with its quotes.
  int64_t modified = 0;  // Unix seconds.
};

// nginx's: modification time and size in hexadecimal.
std::string make_etag(int64_t modified, uint64_t bytes);

// 0: go on.  304 or 412: answer with that.
uint16_t check_preconditions(const Request& request, const Validators& validators);

// Whether Range counts: If-Range is absent or names this very version.
bool range_applies(const Request& request, const Validators& validators);

}  // namespace beamgate::http
