#include "worker/proto/hook_messages.h"

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "worker/net/connections.h"

namespace beamgate::proto {

using metrics::Metric;
using record::ConnId;
using record::Record;

HookMessages::HookMessages(Context& context, ConnectionOps& ops, ActionRunner& runner, Subjects& subjects,
                           MessageDialect& dialect)
    : context_(context),
      ops_(ops),
      subjects_(subjects),
      dialect_(dialect),
      queue_(context.arena),
      leftovers_(context, runner, subjects, dialect),
      retry_timer_(context.loop, [this] { on_retry_time(); }) {}

void HookMessages::on_message(Record& record, const std::shared_ptr<const config::Webhook>& endpoint, bool binary,
                              std::string_view bytes) {
  if (record.hook_messages == 0 && dialect_.handle(record, {binary, 0, bytes})) return;
  if (!queue_.push(record, binary, ++record.hook_sequence, bytes)) {
    return ops_.close(record, Metric::ClosesMemory, ws::kCloseTryAgainLater, "no memory");
  }
  if (record.hook_messages > endpoint->connection_queue) {
    context_.connections.pause(record, record::kPauseWebhook);
  }
  if (record.hook_messages == 1) return begin(record, endpoint);
  UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way != nullptr && under_way->state == State::Waiting) call(record, *under_way);
}

void HookMessages::poke(Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  if (record.hook_messages == 0 && queue_.push(record, false, 0, {})) return begin(record, endpoint);
  UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way != nullptr && under_way->state == State::Waiting) call(record, *under_way);
}

void HookMessages::begin(Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  const ConnId id = context_.connections.id_of(record);
  UnderWay& under_way = under_way_[id.slot];
  under_way = UnderWay{.id = id, .endpoint = endpoint, .taken = {}};
  call(record, under_way);
}

bool HookMessages::may_move(const Record& record) {
  UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way == nullptr || under_way->state == State::Delayed || under_way->state == State::Waiting) return true;
  const int64_t now_ms = monotonic_ms();
  if (under_way->move_asked_ms == 0) under_way->move_asked_ms = now_ms;
  return under_way->state == State::Calling && now_ms - under_way->move_asked_ms >= kReplyWaitMs;
}

bool HookMessages::is_under_way(const Record& record) {
  const UnderWay* under_way = find(context_.connections.id_of(record));
  return under_way != nullptr && under_way->state != State::Waiting;
}

void HookMessages::on_given(Record& record) {
  const UnderWay* under_way = find(context_.connections.id_of(record));
  if (under_way == nullptr) return;
  if (under_way->state == State::Calling) context_.webhooks.cancel(under_way->call);
  under_way_.erase(context_.connections.id_of(record).slot);
}

HookMessages::UnderWay* HookMessages::find(ConnId id) {
  const auto found = under_way_.find(id.slot);
  return found != under_way_.end() && found->second.id == id ? &found->second : nullptr;
}

void HookMessages::call(Record& record, UnderWay& under_way) {
  under_way.state = State::Calling;
  auto endpoint = dialect_.application_for(record, queue_.front(record));
  if (endpoint != nullptr) under_way.endpoint = std::move(endpoint);
  const auto done = [this, id = under_way.id, uid = record.uid](const hook::Reply& reply) { on_reply(id, uid, reply); };
  if (under_way.again == 0) {
    under_way.offered = 1;
    under_way.call = dialect_.call(under_way.endpoint, subjects_.of(record), queue_.front(record), done);
  } else {
    const auto messages = queue_.all(record);
    under_way.offered = messages.size();
    under_way.call = dialect_.call_again(under_way.endpoint, subjects_.of(record), messages, under_way.again, done);
  }
}

void HookMessages::on_reply(ConnId id, uint64_t uid, const hook::Reply& reply) {
  UnderWay* under_way = find(id);
  Record* record = ops_.find_open(id);
  if (under_way == nullptr || record == nullptr) {
    return leftovers_.settle(uid, reply);
  }
  context_.connections.touch(*record);
  context_.connections.serve(*record, ipc::Doing::Application, [&] { take_reply(*record, *under_way, reply); });
}

void HookMessages::take_reply(Record& record, UnderWay& under_way, const hook::Reply& reply) {
  if (reply.accepted()) return act(record, under_way, reply);
  if (reply.later() && under_way.retries < kRetriesMax) return delay(under_way, *reply.retry_after_ms);
  const ConnId id = under_way.id;
  const auto close = dialect_.refuse(record, under_way.endpoint, queue_.front(record), reply);
  if (close) return deny(record, *close);
  if (Record* open = ops_.find_open(id)) next(*open);
}

void HookMessages::act(Record& record, UnderWay& under_way, const hook::Reply& reply) {
  under_way.state = State::Acting;
  under_way.taken = reply.actions.taken;
  dialect_.act(record, queue_.front(record), reply, [this](Record* open) {
    if (open != nullptr) next(*open);
  });
}

void HookMessages::delay(UnderWay& under_way, int64_t retry_after_ms) {
  ++under_way.retries;
  const int64_t wait_ms = std::max<int64_t>(retry_after_ms, under_way.endpoint->retry_delay_ms);
  wait(under_way, std::min(wait_ms, kRetryWaitMaxMs));
}

void HookMessages::wait(UnderWay& under_way, int64_t wait_ms) {
  under_way.state = State::Delayed;
  delayed_.emplace(monotonic_ms() + wait_ms, under_way.id);
  schedule_retries();
}

// Nothing that it has sent behind a message that was refused is brought to the application.
void HookMessages::deny(Record& record, const MessageDialect::CloseWith& close) {
  drop_all(record);
  under_way_.erase(context_.connections.id_of(record).slot);
  ops_.close(record, close.why, close.code, close.reason);
}

void HookMessages::drop_all(Record& record) {
  context_.metrics.add(Metric::MessagesDroppedApplication, record.hook_messages);
  queue_.clear(record);
}

// Null: the connection has gone meanwhile.
Record* HookMessages::skip_handled(ConnId id) {
  for (Record* record = ops_.find_open(id);; record = ops_.find_open(id)) {
    if (record == nullptr) return nullptr;
    if (record->ws.close != record::CloseState::Open) drop_all(*record);  // An action has closed it.
    if (record->hook_messages == 0 || !dialect_.handle(*record, queue_.front(*record))) return record;
    if (Record* open = ops_.find_open(id); open != nullptr && open->hook_messages > 0) queue_.pop(*open);
  }
}

// False: the application wants to see some of what it was offered once more.
bool HookMessages::remove_taken(Record& record, UnderWay& under_way) {
  uint64_t left = under_way.taken.value_or(UINT64_MAX);
  under_way.taken.reset();
  under_way.again = 0;
  for (; under_way.offered > 0 && queue_.front(record).bytes.size() <= left; --under_way.offered) {
    left -= queue_.front(record).bytes.size();
    queue_.pop(record);
  }
  if (under_way.offered == 0) return true;
  const auto rest = queue_.all(record);
  for (size_t i = 0; i < under_way.offered; ++i) under_way.again += rest[i].bytes.size();
  under_way.again -= left;
  if (left > 0 && !queue_.cut_front(record, left)) {
    deny(record, {Metric::ClosesMemory, ws::kCloseTryAgainLater, "no memory"});
  }
  return false;
}

// Nothing more can come while the connection isn't read.
void HookMessages::wait_for_more(Record& record, UnderWay& under_way) {
  if (record.hook_messages > under_way.offered) return call(record, under_way);
  under_way.state = State::Waiting;
  if (record.hook_messages <= under_way.endpoint->connection_queue / 2 + 1) {
    context_.connections.resume(record, record::kPauseWebhook);
  } else if ((record.pauses & record::kPauseWebhook) != 0) {
    deny(record, {Metric::ClosesApplication, ws::kCloseInternalError, "the application takes nothing"});
  }
}

// What went with the call is dealt with.
void HookMessages::next(Record& done) {
  const ConnId id = context_.connections.id_of(done);
  UnderWay* under_way = find(id);
  if (under_way == nullptr) return;
  const bool open = done.ws.close == record::CloseState::Open;  // Or an action has closed it.
  if (!remove_taken(done, *under_way) && open) {
    under_way = find(id);
    return under_way == nullptr ? void() : wait_for_more(done, *under_way);
  }
  Record* record = skip_handled(id);
  under_way = find(id);
  if (record == nullptr || under_way == nullptr) return;
  const uint32_t low = under_way->endpoint->connection_queue / 2;
  if (record->hook_messages > 0) {
    under_way->retries = 0;
    if (std::exchange(under_way->move_asked_ms, 0) != 0) {
      wait(*under_way, kYieldMs);
    } else {
      call(*record, *under_way);
    }
  } else {
    under_way_.erase(id.slot);
  }
  if (record->hook_messages <= low + 1) context_.connections.resume(*record, record::kPauseWebhook);
}

void HookMessages::on_gone(Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  const ConnId id = context_.connections.id_of(record);
  const UnderWay* under_way = find(id);
  if (under_way == nullptr) return queue_.clear(record);
  const State state = under_way->state;
  const size_t offered = under_way->offered;
  under_way_.erase(id.slot);
  // In flight, or already answered: not to be sent again; or a part that nothing will follow any more.
  for (size_t i = 0; state != State::Delayed && i < offered; ++i) queue_.pop(record);
  leftovers_.take(record, endpoint);
  if (state != State::Calling) leftovers_.start(record.uid);
}

void HookMessages::on_retry_time() {
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

void HookMessages::schedule_retries() {
  if (!delayed_.empty()) retry_timer_.start(delayed_.begin()->first - monotonic_ms());
}

}  // namespace beamgate::proto
