#include "worker/api/connection_calls.h"

#include <algorithm>

#include "common/ipc/wire.h"
#include "worker/api/connection_view.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

void merge(std::vector<hub::Answer>&& answers, ConnectionCalls::Outcome& outcome) {
  for (const hub::Answer& answer : answers) {
    ConnectionAnswer one;
    if (!answer.answered || !ipc::decode(answer.body, one)) continue;
    outcome.matched += one.matched;
    outcome.refused += one.refused;
    outcome.since_ms = std::min(outcome.since_ms, one.since_ms);
    for (size_t i = 0; i < std::min(one.by_protocol.size(), outcome.by_protocol.size()); ++i) {
      outcome.by_protocol[i] += one.by_protocol[i];
    }
    for (std::string_view look : one.looks) outcome.looks.emplace_back(look);
  }
}

ConnectionCalls::Outcome not_asked() {
  ConnectionCalls::Outcome outcome;
  outcome.asked = false;
  return outcome;
}

}  // namespace

ConnectionCalls::ConnectionCalls(Context& context, proto::ConnectionOps& ops) : context_(context), ops_(ops) {
  context_.remote.serve(hub::Method::Connection, [this](std::string_view body) { return answer(body); });
}

void ConnectionCalls::run(const ConnectionCall& call, OnOutcome done) {
  BG_ASSERT(names_some(call));
  if (call.uid == 0) return ask_everyone(ipc::encode(call), std::move(done));

  record::Record* record = context_.connections.find_uid(call.uid);
  if (record == nullptr || call.op == ConnectionOp::Subscribe) return ask_birthplace(call, std::move(done));
  Outcome outcome;
  apply(call, *record, outcome);
  done(std::move(outcome));
}

void ConnectionCalls::ask_birthplace(const ConnectionCall& call, OnOutcome done) {
  std::string body = ipc::encode(call);
  const auto on_answers = [this, body, done](std::vector<hub::Answer>&& answers) {
    Outcome outcome;
    merge(std::move(answers), outcome);
    if (outcome.matched > 0) return done(std::move(outcome));
    ask_everyone(body, done);  // It may have moved to another worker since.
  };
  if (!context_.remote.ask(record::uid_worker(call.uid), hub::Method::Connection, body, on_answers)) {
    done(not_asked());
  }
}

void ConnectionCalls::ask_everyone(std::string_view body, OnOutcome done) {
  const auto on_answers = [done](std::vector<hub::Answer>&& answers) {
    Outcome outcome;
    merge(std::move(answers), outcome);
    done(std::move(outcome));
  };
  if (!context_.remote.ask_all(hub::Method::Connection, body, on_answers)) done(not_asked());
}

std::string ConnectionCalls::answer(std::string_view body) {
  ConnectionCall call;
  Outcome outcome;
  if (ipc::decode(body, call) && names_some(call)) {
    if (call.uid == 0) {
      apply_to_all(call, outcome);
    } else if (record::Record* record = context_.connections.find_uid(call.uid)) {
      apply(call, *record, outcome);
    }
  }
  ConnectionAnswer reply;
  reply.matched = outcome.matched;
  reply.refused = outcome.refused;
  reply.since_ms = outcome.since_ms;
  reply.by_protocol.assign(outcome.by_protocol.begin(), outcome.by_protocol.end());
  reply.looks.assign(outcome.looks.begin(), outcome.looks.end());
  return ipc::encode(reply);
}

// Whoever is named by a user or a channel is found by an index.  They are noted before anything is done: closing one may
// end others, and takes it out of the index.
void ConnectionCalls::apply_to_all(const ConnectionCall& call, Outcome& outcome) {
  if (call.user.empty() && call.subscribed_to.empty()) {
    return context_.connections.for_each([&](record::Record& record) { apply(call, record, outcome); });
  }
  const std::vector<record::ConnId> named = call.user.empty() ? context_.hub.subscribers_of(call.subscribed_to)
                                                              : context_.connections.of_user(call.user);
  for (const record::ConnId id : named) {
    if (record::Record* record = context_.connections.find(id)) apply(call, *record, outcome);
  }
}

void ConnectionCalls::apply(const ConnectionCall& call, record::Record& record, Outcome& outcome) {
  // What is only on its way here is still its old worker's.
  if (!ops_.is_client(record)) return;
  const bool takes_all = record.phase == record::Phase::WebSocket;
  if (!takes_all && (call.op == ConnectionOp::Send || call.op == ConnectionOp::Subscribe)) return;
  if (!call.user.empty() && record::text_of(context_.arena, record.user) != call.user) return;
  if (!call.subscribed_to.empty() && !context_.hub.is_subscribed(record, call.subscribed_to)) return;
  ++outcome.matched;
  outcome.since_ms = std::min(outcome.since_ms, record.accepted_ms);
  ++outcome.by_protocol[static_cast<size_t>(record.protocol)];
  if (!perform(call, record, outcome)) ++outcome.refused;
}

bool ConnectionCalls::perform(const ConnectionCall& call, record::Record& record, Outcome& outcome) {
  switch (call.op) {
    case ConnectionOp::Look:
      if (outcome.looks.size() >= kLooksMax || outcome.look_bytes >= kLookBytesMax) return true;
      outcome.looks.push_back(describe_connection(context_, record));
      outcome.look_bytes += outcome.looks.back().size();
      return true;
    case ConnectionOp::Send:
      return ops_.send(record, call.binary, call.bytes);
    case ConnectionOp::Close:
      ops_.close(record, metrics::Metric::ClosesApi, call.code, call.reason);
      return true;
    case ConnectionOp::Subscribe:
      return ops_.subscribe(record, call.channel).ok();
    case ConnectionOp::Unsubscribe:
      ops_.unsubscribe(record, call.channel);
      return true;
    case ConnectionOp::Refresh:
      return ops_.refresh(record, call.expired, call.expires_s);
  }
  return false;
}

}  // namespace beamgate::api
