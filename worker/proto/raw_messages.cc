#include "worker/proto/raw_messages.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "worker/net/connections.h"
#include "worker/proto/message_call.h"

namespace beamgate::proto {

using metrics::Metric;
using record::ConnId;
using record::Record;

RawMessages::RawMessages(Context& context, ConnectionOps& ops, ActionRunner& runner, Subjects& subjects)
    : context_(context),
      ops_(ops),
      runner_(runner),
      subjects_(subjects),
      queue_(context.arena),
      leftovers_(context, runner, subjects),
      retry_timer_(context.loop, [this] { on_retry_time(); }) {}

void RawMessages::on_message(Record& record, const std::shared_ptr<const config::Webhook>& endpoint, bool binary,
                             std::string_view bytes) {
  if (!queue_.push(record, binary, ++record.hook_sequence, bytes)) {
    return ops_.close(record, ws::kCloseTryAgainLater, "no memory");
  }
  if (record.hook_messages > endpoint->connection_queue) {
    context_.connections.pause(record, record::kPauseWebhook);
  }
  if (record.hook_messages == 1) begin(record, endpoint);
}

void RawMessages::begin(Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  const ConnId id = context_.connections.id_of(record);
  UnderWay& under_way = under_way_[id.slot];
  under_way = UnderWay{id, endpoint, State::Calling, 0};
  call(record, under_way);
}

bool RawMessages::may_move(const Record& record) {
  UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way == nullptr || under_way->state == State::Delayed) return true;
  const int64_t now_ms = monotonic_ms();
  if (under_way->move_asked_ms == 0) under_way->move_asked_ms = now_ms;
  return under_way->state == State::Calling && now_ms - under_way->move_asked_ms >= kReplyWaitMs;
}

void RawMessages::on_given(Record& record) {
  const UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way == nullptr) return;
  if (under_way->state == State::Calling) context_.webhooks.cancel(under_way->call);
  under_way_.erase(context_.connections.id_of(record).slot);
}

RawMessages::UnderWay* RawMessages::find(ConnId id) {
  const auto found = under_way_.find(id.slot);
  return found != under_way_.end() && found->second.id == id ? &found->second : nullptr;
}

void RawMessages::call(Record& record, UnderWay& under_way) {
  under_way.state = State::Calling;
  under_way.call = call_message(context_.webhooks, under_way.endpoint, subjects_.of(record), queue_.front(record),
                                [this, id = under_way.id, uid = record.uid](const hook::Reply& reply) {
                                  on_reply(id, uid, reply);
                                });
}

void RawMessages::on_reply(ConnId id, uint64_t uid, const hook::Reply& reply) {
  UnderWay* under_way = find(id);
  Record* record = ops_.find_open(id);
  if (under_way == nullptr || record == nullptr) {
    if (reply.accepted()) runner_.publish_only(std::make_shared<hook::Actions>(reply.actions));
    return leftovers_.start(uid);
  }
  context_.connections.touch(*record);
  context_.connections.serve(*record, ipc::Doing::Application, [&] { take_reply(*record, *under_way, reply); });
}

void RawMessages::take_reply(Record& record, UnderWay& under_way, const hook::Reply& reply) {
  const bool answered = reply.outcome == hook::Outcome::Answered;
  if (reply.accepted()) {
    act(record, under_way, reply);
  } else if (answered && (reply.status == 401 || reply.status == 403)) {
    deny(record, ws::kClosePolicyViolation, "denied");
  } else if (answered && (reply.status == 429 || reply.status == 503) && reply.retry_after_ms > 0 &&
             under_way.retries < kRetriesMax) {
    delay(under_way, reply.retry_after_ms);
  } else {
    fail(record, under_way);
  }
}

void RawMessages::act(Record& record, UnderWay& under_way, const hook::Reply& reply) {
  under_way.state = State::Acting;
  runner_.run(record, std::make_shared<hook::Actions>(reply.actions), [this](Record* open) {
    if (open != nullptr) next(*open);
  });
}

void RawMessages::delay(UnderWay& under_way, int64_t retry_after_ms) {
  ++under_way.retries;
  wait(under_way, std::min(retry_after_ms, kRetryWaitMaxMs));
}

void RawMessages::wait(UnderWay& under_way, int64_t wait_ms) {
  under_way.state = State::Delayed;
  delayed_.emplace(monotonic_ms() + wait_ms, under_way.id);
  schedule_retries();
}

void RawMessages::fail(Record& record, UnderWay& under_way) {
  if (under_way.endpoint->on_error == config::Webhook::OnError::Allow) return next(record);
  deny(record, ws::kCloseInternalError, "the application can't be reached");
}

// Nothing that it has sent behind a message that was refused is brought to the application.
void RawMessages::deny(Record& record, uint16_t code, std::string_view reason) {
  queue_.clear(record);
  under_way_.erase(context_.connections.id_of(record).slot);
  ops_.close(record, code, reason);
}

// The first message is dealt with.
void RawMessages::next(Record& record) {
  const ConnId id = context_.connections.id_of(record);
  UnderWay* under_way = find(id);
  if (under_way == nullptr) return;
  queue_.pop(record);
  if (record.ws.close != record::CloseState::Open) queue_.clear(record);  // An action has closed it.
  const uint32_t low = under_way->endpoint->connection_queue / 2;
  if (record.hook_messages > 0) {
    under_way->retries = 0;
    if (std::exchange(under_way->move_asked_ms, 0) != 0) {
      wait(*under_way, kYieldMs);
    } else {
      call(record, *under_way);
    }
  } else {
    under_way_.erase(id.slot);
  }
  if (record.hook_messages <= low + 1) context_.connections.resume(record, record::kPauseWebhook);
}

void RawMessages::on_gone(Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  const ConnId id = context_.connections.id_of(record);
  const UnderWay* under_way = find(id);
  if (under_way == nullptr) return queue_.clear(record);
  const State state = under_way->state;
  under_way_.erase(id.slot);
  // In flight, or already answered: not to be sent again.
  if (state != State::Delayed) queue_.pop(record);
  leftovers_.take(record, endpoint);
  if (state != State::Calling) leftovers_.start(record.uid);
}

void RawMessages::on_retry_time() {
  const int64_t now = monotonic_ms();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const ConnId id = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    UnderWay* under_way = find(id);
    Record* record = ops_.find_open(id);
    if (under_way == nullptr || record == nullptr || under_way->state != State::Delayed) continue;
    if (under_way->retries > 0) context_.metrics.add(Metric::WebhookRetries);
    call(*record, *under_way);
  }
  schedule_retries();
}

void RawMessages::schedule_retries() {
  if (!delayed_.empty()) retry_timer_.start(delayed_.begin()->first - monotonic_ms());
}

}  // namespace beamgate::proto
