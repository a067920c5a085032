// Variables: nginx's $names, resolved for one request.
//
// Unknown or empty ones give nothing; the configuration refuses names that don't exist.  What is done about
// the request is in its Trace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/template.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

// How an exchange ended; what only a log can know.
struct Outcome {
  uint16_t status = 0;
  uint64_t body_bytes_sent = 0;
  uint64_t bytes_sent = 0;
  uint64_t request_bytes = 0;
  int64_t duration_us = 0;
};

struct VariableScope {
  const Request& request;
  const record::Record& record;
  const Outcome* outcome = nullptr;  // Null while the exchange lives.
};

// Those with a name of their own that have a value here: all of config/variables.h.
std::vector<std::string_view> given_variables();

// Appends the value of a variable.
void append_variable(std::string_view name, const VariableScope& scope, std::string& out);

// Expands $variables of an exchange, which may have ended.
void expand(const config::Template& text, const VariableScope& scope, std::string& out);

// The request line as received, "GET / HTTP/1.1"; empty for a request that could not be parsed.
void append_request_line(const Request& request, std::string& out);

}  // namespace beamgate::http
