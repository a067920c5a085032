// Watchlist: a signed-in client is told which of the users it watches are online, and when that changes.
//
//   master: a user's first connection, or the end of its last one -> one worker (ipc::UserChange)
//   that worker publishes it to the user's watch channel, which those who watch are subscribers of
// The watch channel lies among the channels of users, which clients can't name.
//
// Owner      Pusher.
// Thread     Worker loop thread only.
// Limits     kUsersMax users; a longer list is refused as a whole, with error 4302.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"
#include "common/json/value.h"
#include "worker/proto/pusher/clients.h"

namespace beamgate::pusher {

std::string watch_channel(std::string_view user);
std::string_view watched_user(std::string_view channel);  // Empty for any other channel.  Users are the node's here.

// pusher_internal:watchlist_events with one event: "online" or "offline".
std::string watchlist_frame(std::string_view event, const std::vector<std::string>& users);

class Watchlist {
 public:
  static constexpr size_t kUsersMax = 100;

  explicit Watchlist(Clients& clients) : clients_(clients) {}

  // What the client's "watchlist" says takes the place of what it watched before; null: nobody.  It is told who is online.
  // prefix: of its app.
  void watch(record::Record& record, std::string_view prefix, const json::Value* users);
  // The node's changes that this worker was given to tell.
  void on_user_change(const ipc::UserChange& change);

 private:
  struct Look;

  void tell_online(record::Record& record, std::string_view prefix, std::vector<std::string>&& users);

  Clients& clients_;
};

}  // namespace beamgate::pusher
