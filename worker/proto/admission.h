// Admission: who may connect: the application is asked before the client is told that it is connected.
//
// With a webhook beamgate.connect is called: 2xx lets in, 4xx and 5xx are the client's answer, and when there is no
// usable answer on_error decides (503, 502 for a broken one).  Without one everybody is let in.
//
// Owner      One per mode and worker.
// Thread     Worker loop thread only.
// Limits     One call per exchange; a client that goes away cancels it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/context.h"
#include "worker/hook/webhooks.h"
#include "worker/http/exchange.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto {

// What a mode makes of the answer.
class Door {
 public:
  virtual ~Door() = default;
  // fields: what the application has for the client: its cookies, and the subprotocol it has chosen of those offered.
  virtual void let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
                      std::vector<http::ResponseField> fields) = 0;
  // Answers the exchange; the record is nobody's again.
  virtual void turn_away(http::Exchange& exchange, record::Record& record, uint16_t status,
                         std::string_view content_type, std::string_view body, std::vector<http::ResponseField> fields);
};

// Of an application's refusal: what its client gets beside status and body.
std::vector<http::ResponseField> passed_fields(const hook::Reply& reply);
// What a client gets where there is no usable answer: 503, or 502 for a broken one.
uint16_t status_without_answer(const hook::Reply& reply);

// Who wants to be let in.
struct Applicant {
  std::string_view user;             // Who it is by a token of its own; empty: not known yet.
  std::string_view publish_channel;  // For HandshakeText.
  std::string_view session;          // The same.
  std::string_view connect_fields;   // "name: value" lines for beamgate.connect only.
};

class Admission {
 public:
  Admission(Context& context, http::Exchanges& exchanges, ConnectionOps& ops, Subjects& subjects)
      : context_(context), exchanges_(exchanges), ops_(ops), subjects_(subjects) {}

  // record: of the connection that it becomes, the exchange's own or another one that is there for it; who it is is
  // kept there.  One of the door's methods is called, now or later, unless the client goes.
  void begin(http::Exchange& exchange, record::Record& record, Door& door, const Applicant& applicant);
  // For a door's own reasons.  why: what it is counted as.  The record is nobody's again.
  void refuse(http::Exchange& exchange, record::Record& record, Door& door, metrics::Metric why, uint16_t status,
              std::string_view text, std::vector<http::ResponseField> fields = {});

 private:
  class Cancel;

  bool remember(const http::Exchange& exchange, record::Record& record, const Applicant& applicant);
  void on_reply(http::ExchangeId id, record::ConnId connection, Door& door, const hook::Reply& reply);
  void pass_on(http::Exchange& exchange, record::Record& record, Door& door, const hook::Reply& reply);
  void turn_away(http::Exchange& exchange, record::Record& record, Door& door, metrics::Metric why, uint16_t status,
                 std::string_view content_type, std::string_view body, std::vector<http::ResponseField> fields);
  void forget(record::Record& record);

  Context& context_;
  http::Exchanges& exchanges_;
  ConnectionOps& ops_;
  Subjects& subjects_;
};

}  // namespace beamgate::proto
