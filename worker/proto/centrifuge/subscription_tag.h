// Subscription tag: what a subscription is to the protocol, kept with it in the hub (hub::JoinOptions::tag).
//
// Format     JSON with the fields that are not as here; a client's own subscription that doesn't expire has no tag at
//            all once it is answered.  Subscriptions that were made without one are plain ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace beamgate::proto::centrifuge {

struct SubscriptionTag {
  uint64_t command = 0;    // Of the subscribe that is to be answered; 0: it is.
  bool by_server = false;  // Not asked for by the client.
  bool quiet = false;      // by_server: the connect reply has told of it, or will.
  bool recover = false;    // The client has asked for what it has missed,
  uint64_t offset = 0;     // behind this one
  std::string epoch;       // of this epoch.
  bool strict = false;     // An error instead of recovered: false.
  int64_t expires_s = 0;   // Unix time; 0: never.

  std::string text() const;
};

SubscriptionTag parse_tag(std::string_view text);

}  // namespace beamgate::proto::centrifuge
