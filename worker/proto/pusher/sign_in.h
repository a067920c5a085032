// Sign-in: a client of the Pusher protocol becomes a user, on its application's word.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
// Errors     Whoever can't be signed in is told 4009 and closed, as Pusher does.
#pragma once

#include "common/config/model.h"
#include "common/json/value.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/watchlist.h"

namespace beamgate::pusher {

class SignIn {
 public:
  SignIn(Clients& clients, Watchlist& watchlist) : clients_(clients), watchlist_(watchlist) {}

  // data: of pusher:signin.  The client is told when the node knows the user: what is sent to it then arrives.
  void run(record::Record& record, const config::App& app, const json::Value& data);

 private:
  Clients& clients_;
  Watchlist& watchlist_;
};

}  // namespace beamgate::pusher
