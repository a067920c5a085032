// Response reader: a backend's bytes to a response head and body spans, whatever the backend speaks.
//
// Owner      Whoever has sent the request; one for each connection that a request was sent on.
// Errors     What breaks a rule of the protocol makes the response Invalid; failure() says what that means.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

class ResponseReader {
 public:
  //   Head -- a final head -------------------> Body or Complete
  //   Head -- 101, as asked for --------------> Switched: what follows is not HTTP
  //   Body -- the last byte, or EOF where that ends it -> Complete
  //   Head, Body -- anything wrong -----------> Invalid
  // EOF before the first byte leaves Head: another connection may still bring the response.
  enum class State : uint8_t { Head, Body, Complete, Switched, Invalid };

  struct Failure {
    uint32_t reason = config::kNextInvalidHeader;  // A config::NextUpstream.
    uint16_t status = 502;                         // For the client, if it is told.
    bool untouched = false;                        // The backend has said that it has done nothing.
    const char* text = "the response is invalid";
  };

  virtual ~ResponseReader() = default;

  // `body` is what the bytes hold of it, moved together within them; after Switched, the bytes behind the head.
  virtual State feed(std::span<char> bytes, std::string_view& body) = 0;
  virtual State end() = 0;  // The backend has closed its side.

  virtual bool started() const = 0;  // Any byte has come.
  // From Body or Complete on; may be moved from.  What must not reach the client is left out.
  virtual ResponseHead& head() = 0;
  virtual bool may_have_body() const = 0;
  // 1xx heads since the last call, 100 left out: they were an answer to us.
  virtual std::vector<ResponseHead> take_interims() { return {}; }
  // After Complete: the fields behind a body, fit to be passed on.
  virtual bool has_trailers() const { return false; }
  virtual std::vector<ResponseField> take_trailers() { return {}; }
  // What the backend has said for the error log since the last call.
  virtual std::string take_errors() { return {}; }
  // Complete, and the connection is at the start of the next response.
  virtual bool reusable() const = 0;
  virtual Failure failure() const { return {}; }  // After Invalid.
};

}  // namespace beamgate::http
