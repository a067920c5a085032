// Centrifuge: WebSockets that speak Centrifuge's bidirectional JSON protocol, as Centrifugo's clients do.
//
// Source     Centrifugo's documentation ("Client protocol") and the clients themselves, centrifuge-js above all.
// Handshake  With a webhook the application is asked first (Admission); then the client's first command is "connect".
// Limits     kStaleMs until that command; a frame that can't be understood, or is binary, ends the connection.
// Fails      A client that shows no token where one is wanted, or a wrong one: Connecting.
// Owner      One per worker.
// Thread     Worker loop thread only.
// State      Session and subscription tags, in the record; commands that wait for the application, in its hook queue.
#pragma once

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/admission.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/centrifuge/alarms.h"
#include "worker/proto/centrifuge/application_calls.h"
#include "worker/proto/centrifuge/connecting.h"
#include "worker/proto/centrifuge/queries.h"
#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/centrifuge/subscriptions.h"
#include "worker/proto/connection_events.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/orders.h"
#include "worker/proto/subjects.h"
#include "worker/ws/application.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto::centrifuge {

class Centrifuge final : public ws::Application, public Door, public Orders {
 public:
  static constexpr int64_t kStaleMs = 10'000;

  Centrifuge(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
             ChannelPolicy& policy);

  // ws::Application
  void on_handshake(http::Exchange& exchange) override {
    admission_.begin(exchange, exchange.record(), *this, {});
  }
  void on_open(record::Record& record) override;
  void on_message(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_too_fast(record::Record& record, ws::Opcode opcode, std::span<char> payload) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;
  bool may_move(const record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record, const ws::Ending& ending) override;
  ws::CloseText closes_with(ws::Cause cause) const override;
  std::string_view heartbeat() const override { return "{}"; }

  // Door
  void let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
              std::vector<http::ResponseField> fields) override;

  // Orders
  Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel) override;
  bool unsubscribe(record::Record& record, std::string_view channel) override;
  std::string message(bool binary, std::string_view bytes) const override;
  ws::CloseText closes_with(uint16_t code, std::string_view reason) const override;
  bool refresh(record::Record& record, bool expired, int64_t expires_s) override;

 private:
  void accept(http::ExchangeId id, SharedActions actions, const std::vector<http::ResponseField>& fields,
              const std::vector<std::string>& channels);
  void run_commands(record::Record& record, std::string_view frame);
  void run(record::Record& record, const Command& command);
  void ask_application(record::Record& record, const Command& command);
  void on_alarm(record::ConnId id);
  std::shared_ptr<const config::Webhook> webhook_of(const record::Record& record) const;

  Context& context_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  Sender sender_;
  ChannelAccess access_;
  Subjects subjects_;
  BusWait bus_wait_;
  ActionRunner runner_;
  Admission admission_;
  ConnectionEvents events_;
  Alarms alarms_;
  Subscriptions subscriptions_;
  Queries queries_;
  ApplicationCalls calls_;
  Connecting connecting_;
};

}  // namespace beamgate::proto::centrifuge
