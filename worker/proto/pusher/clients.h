// Clients: who a connection of the Pusher protocol is, and how it is told something.
//
// Owner      Pusher; its parts share it.
// Thread     Worker loop thread only.
// Conduct    How often a client has sent events lately, and whether it has been warned, is kept here and not in the
//            record: a connection that moves begins anew.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/config/model.h"
#include "common/ipc/messages.h"
#include "worker/context.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/pusher/session.h"
#include "worker/record/record.h"
#include "worker/ws/websockets.h"

namespace beamgate::pusher {

class Clients {
 public:
  Clients(Context& context, proto::ConnectionOps& ops, ws::WebSockets& websockets)
      : context_(context), ops_(ops), websockets_(websockets) {}

  Context& context() const { return context_; }
  proto::ConnectionOps& ops() const { return ops_; }

  // The app of this key, of those that the location lets in.
  std::shared_ptr<const config::App> app_of_key(const config::WebSocketAction& action, std::string_view key) const;
  // The connection's own; null when a reload has removed it.
  std::shared_ptr<const config::App> app_of(const record::Record& record) const;
  Session session_of(const record::Record& record) const { return read_session(context_.arena, record); }
  // What the clients of its app call a channel or user of the node.
  std::string name_of(std::string_view on_node) const;
  // False: the app has as many connections as it may have.
  bool count(record::Record& record, const config::App& app) const;

  // What its clients are told of a publication in a channel, by their name for it.  Empty, and counted, where its event
  // is one that the server alone sends.
  std::string publication_frame(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                                const ipc::Origin& origin) const;

  // The frame may be empty: nothing is sent.
  void send(record::Record& record, std::string_view frame) const;
  void error(record::Record& record, uint16_t code, std::string_view message) const;
  // pusher:error and a Close with the same code.  why: what it is counted as.
  // REQUIRES: code < 4300, those above keep clients away for good.
  void end(record::Record& record, metrics::Metric why, uint16_t code, std::string_view message) const;
  // It has sent what can't be understood: the first time it is told so; then it is closed with 4100.
  void warn(record::Record& record, std::string_view message);

  // False: it has sent as many client events in this second as the app allows.
  bool admit_event(const record::Record& record, uint32_t per_second);
  void forget(const record::Record& record);

 private:
  struct Conduct {
    record::ConnId id;
    bool warned = false;
    double events_left = 0;
    int64_t refilled_ms = 0;  // 0: it has sent none yet.
  };

  Conduct& conduct_of(const record::Record& record);

  Context& context_;
  proto::ConnectionOps& ops_;
  ws::WebSockets& websockets_;
  std::unordered_map<uint32_t, Conduct> conducts_;  // By slot.
};

}  // namespace beamgate::pusher
