// Named resources: /users/<id> and /channels/<name> beside the methods, in plain HTTP.
//
//   users     GET     {"user","num_clients","protocols":{NAME:N},"since","connections":[...]}: how many connections, what
//                     they speak, since when there is one, and (at most ConnectionCalls::kLooksMax for each worker)
//                     what is known of each
//             POST    the body is published to the user, as each of its connections has it in its protocol; kept for
//                     one without connections where "users" has a history.  {"num_clients","offset","epoch"}
//             DELETE  closes all; ?code= (1000) and ?reason=
//   channels  GET     ChannelCalls::look()
//             POST    the body is published; ?event=.  {"offset","epoch"}
//             DELETE  ends all subscriptions, or with ?code= (and ?reason=) the connections that have one:
//                     {"num_clients"}
// A POST's body is text or binary by its content type (body_kind.h).
//
// Owner      ApiHandler.
// Errors     404 for a user without connections, where nothing is kept for it; 400 for text that is no UTF-8, JSON that
//            is none, or a close code that may not be sent; 413 above publication_max; 503 with Retry-After when the bus
//            is full.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "worker/api/channel_calls.h"
#include "worker/api/connection_calls.h"
#include "worker/api/connection_resource.h"
#include "worker/api/publishing.h"
#include "worker/api/route.h"
#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api {

class NamedResources {
 public:
  using OnAnswer = std::function<void(ResourceAnswer&&)>;

  NamedResources(Context& context, ConnectionCalls& connections, ChannelCalls& channels, Publishing& publishing)
      : context_(context), connections_(connections), channels_(channels), publishing_(publishing) {}

  // REQUIRES: route names all connections (then the method is GET or HEAD), a user or a channel; the method is POST, GET, HEAD or DELETE.  done runs once.
  void run(const Route& route, const http::Request& request, std::string&& body, uint64_t bytes_max, OnAnswer done);

 private:
  void run_user(const std::string& user, const http::Request& request, std::string&& body, uint64_t bytes_max,
                OnAnswer done);
  void look_at_all(const http::Request& request, OnAnswer done);
  void look_at_user(const std::string& user, OnAnswer done);
  void send_to_user(const std::string& user, Payload&& payload, uint64_t bytes_max, OnAnswer done);
  void run_channel(const std::string& channel, const http::Request& request, std::string&& body, uint64_t bytes_max,
                   OnAnswer done);
  void close(ConnectionCall call, const http::Request& request, OnAnswer done);

  Context& context_;
  ConnectionCalls& connections_;
  ChannelCalls& channels_;
  Publishing& publishing_;
};

// What a POST brings to publish.  False: `problem` says why it can't be.
bool read_body(const http::Request& request, std::string&& body, Payload& payload, const char*& problem);

// ?code= and ?reason=.  False: they can't be sent.
bool read_close(const http::Request& request, uint16_t& code, std::string& reason);

}  // namespace beamgate::api
