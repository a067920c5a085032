// PusherApi: Pusher's HTTP API, of a location with "pusher_api on", for Pusher's server libraries.
//
//   POST PREFIX/apps/ID/events, /batch_events            event_calls.h; also to a user: channel #server-to-user-ID
//   GET  PREFIX/apps/ID/channels, /channels/NAME, /channels/NAME/users    channel_calls.h
//   GET  PREFIX/apps/ID/connections                      {"connections":N}, of every protocol
//   POST PREFIX/apps/ID/users/USER/terminate_connections    closes them with 4009; the user may come back
// Owner      Worker; one per process.
// Thread     Worker loop thread only.
// Access     The app's signature (signed_request.h); allow and deny may narrow it.
// Answers    JSON, or a text that says what is wrong: 400, 401 no valid signature, 404 no such call, 405, 413, 503 with
//            Retry-After when the bus to the master is full.
#pragma once

#include <memory>
#include <string>

#include "worker/api/connection_calls.h"
#include "worker/api/node_calls.h"
#include "worker/api/pusher/channel_calls.h"
#include "worker/api/pusher/event_calls.h"
#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api::pusher {

// What a path names, below its app.
struct Route {
  enum class Kind : uint8_t { Unknown, Events, BatchEvents, Channels, Channel, Users, Connections, Terminate };

  Kind kind = Kind::Unknown;
  std::string app;   // Its id.
  std::string name;  // Of the channel or user.

  bool is_get() const { return kind >= Kind::Channels && kind <= Kind::Connections; }
};

Route route_of(std::string_view path);  // Percent-decoded.

class PusherApi final : public http::Handler {
 public:
  PusherApi(Context& context, http::Exchanges& exchanges, ConnectionCalls& connections, NodeCalls& nodes);

  void handle(http::Exchange& exchange) override;

 private:
  std::shared_ptr<const config::App> app_of(const http::Request& request, const Route& route) const;
  void on_body(http::Exchange& exchange, const Route& route, const std::string& body);
  void publish(const config::App& app, EventRequest&& request, bool batch, Done done);
  void terminate(const std::string& user, Done done);
  void count_connections(Done done);

  Context& context_;
  http::Exchanges& exchanges_;
  ConnectionCalls& connections_;
  NodeCalls& nodes_;
  ChannelCalls channels_;
  EventCalls events_;
};

}  // namespace beamgate::api::pusher
