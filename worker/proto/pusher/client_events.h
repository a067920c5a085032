// Client events: what a client sends to the others in a channel, under a name that begins with "client-".
//
// Rules      Only to private and presence channels it is in; never to the sender; the sender's user_id is said by us, and
//            whatever else is in the frame is left out.
// Owner      Pusher.
// Thread     Worker loop thread only.
// Limits     kEventBytesMax, kDataBytesMax, the app's client_event_rate, the channel's rate (pusher:error 4301, the event is dropped).  One
//            that finds the bus full waits, and its connection is not read meanwhile (kPauseBus).
#pragma once

#include <string>

#include "common/config/model.h"
#include "worker/hub/hub.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/pusher/app_events.h"
#include "worker/proto/pusher/clients.h"
#include "worker/proto/pusher/frames.h"

namespace beamgate::pusher {

class ClientEvents {
 public:
  static constexpr size_t kEventBytesMax = 200;
  static constexpr size_t kDataBytesMax = 10 << 10;

  ClientEvents(Clients& clients, proto::ChannelPolicy& policy, AppEvents& events)
      : clients_(clients), policy_(policy), events_(events), bus_wait_(clients.context()) {}

  void send(record::Record& record, const config::App& app, const ClientFrame& frame);

 private:
  struct Publication {
    std::string channel;
    std::string event;
    std::string data;
    std::string user;
    uint64_t sender = 0;
    ipc::PayloadKind kind = ipc::PayloadKind::Json;
    uint8_t flags = 0;
  };

  const char* refusal(const record::Record& record, const config::App& app, const ClientFrame& frame,
                      std::string_view on_node) const;
  void publish_when_possible(record::ConnId id, const Publication& publication);
  bool publish(const Publication& publication);

  Clients& clients_;
  proto::ChannelPolicy& policy_;
  AppEvents& events_;
  proto::BusWait bus_wait_;
};

}  // namespace beamgate::pusher
