// Greeting: how a client of the Pusher protocol is let in, or told why not.
//
//   refused by its URL, or by beamgate.connect --> opened, pusher:error, closed with the code that it goes by
//   else --------------------------------------> opened, pusher:connection_established
// A connection that can't be served is opened all the same: only then can its client be told why, and whether to come
// back; a handshake that fails is tried again and again.
// With a "webhook" in the location the application is asked first (admission.h): 4xx ends with 4009, 429 and 5xx with 4100.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
#pragma once

#include <string_view>
#include <vector>

#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/admission.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/subjects.h"
#include "worker/ws/websockets.h"

namespace beamgate::pusher {

// Why the client of this handshake can't be served, as a code of pusher:error; kErrorNone: it can, as far as that goes.
uint16_t refuse_protocol(const http::Request& request);

// The app's key in a path that ends in /app/KEY; empty when it doesn't.
std::string_view key_in_path(std::string_view path);

class Greeting final : private proto::Door {
 public:
  static constexpr int64_t kActivityTimeoutS = 120;

  Greeting(Clients& clients, http::Exchanges& exchanges, ws::WebSockets& websockets, proto::Subjects& subjects);

  void begin(http::Exchange& exchange);

 private:
  void let_in(http::Exchange& exchange, record::Record& record, proto::SharedActions actions,
              std::vector<http::ResponseField> fields) override;
  void turn_away(http::Exchange& exchange, record::Record& record, uint16_t status, std::string_view content_type,
                 std::string_view body, std::vector<http::ResponseField> fields) override;
  void accept(http::ExchangeId id, const proto::SharedActions& actions, const std::vector<http::ResponseField>& fields);
  void end(http::Exchange& exchange, uint16_t code);

  Clients& clients_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  proto::BusWait bus_wait_;
  proto::ActionRunner runner_;
  proto::Admission admission_;
};

}  // namespace beamgate::pusher
