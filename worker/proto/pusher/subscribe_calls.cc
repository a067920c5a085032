#include "worker/proto/pusher/subscribe_calls.h"

#include <algorithm>
#include <utility>

#include "common/config/app_channels.h"
#include "worker/net/connections.h"

namespace beamgate::pusher {
namespace {

using proto::HookQueue;
using record::Record;

// What was queued, and what the client calls the channel.
struct Asked {
  json::Value data;
  std::string channel;
  bool left = false;  // No subscribe: the client has unsubscribed.
};

Asked asked_of(const HookQueue::Message& message) {
  Asked asked;
  if (auto parsed = json::parse(message.bytes)) asked.data = std::move(parsed).value();
  asked.left = asked.data.is_string();
  asked.channel = asked.left ? *asked.data.as_string() : asked.data.get_string("channel").value_or("");
  return asked;
}

}  // namespace

SubscribeCalls::SubscribeCalls(Clients& clients, proto::ChannelPolicy& policy, proto::Subjects& subjects,
                               Subscribing& subscribing)
    : clients_(clients),
      policy_(policy),
      subscribing_(subscribing),
      queue_(clients.context().arena),
      bus_wait_(clients.context()),
      runner_(clients.context(), clients.ops(), bus_wait_),
      messages_(clients.context(), clients.ops(), runner_, subjects, *this) {}

void SubscribeCalls::queue(Record& record, const Endpoint& endpoint, const json::Value& data) {
  messages_.on_message(record, endpoint, false, data.dump());
}

void SubscribeCalls::withdraw(Record& record, const json::Value& data) {
  const std::string_view channel = data.get_string("channel").value_or("");
  bool waits = false;
  for (const HookQueue::Message& message : queue_.all(record)) {
    const Asked asked = asked_of(message);
    if (asked.channel == channel) waits = !asked.left;
  }
  if (!waits || queue_.push(record, false, 0, json::Value(channel).dump())) return;
  clients_.ops().close(record, metrics::Metric::ClosesMemory, ws::kCloseTryAgainLater, "no memory");
}

// REQUIRES: a subscribe to the channel is the first one in the queue, or there is none.
bool SubscribeCalls::is_withdrawn(const Record& record, std::string_view channel) const {
  const auto messages = queue_.all(record);
  return std::any_of(messages.begin(), messages.end(), [channel](const HookQueue::Message& message) {
    const Asked asked = asked_of(message);
    return asked.left && asked.channel == channel;
  });
}

bool SubscribeCalls::handle(Record& record, const HookQueue::Message& message) {
  const Asked asked = asked_of(message);
  return asked.left || is_withdrawn(record, asked.channel);
}

void SubscribeCalls::on_adopted(Record& record) {
  if (record.hook_messages == 0) return;
  const Endpoint endpoint = application_for(record, queue_.front(record));
  const bool goes_on = endpoint != nullptr && record.ws.close == record::CloseState::Open;
  goes_on ? messages_.begin(record, endpoint) : queue_.clear(record);
}

void SubscribeCalls::on_given(Record& record) {
  messages_.on_given(record);
  queue_.clear(record);
}

void SubscribeCalls::on_gone(Record& record) {
  if (record.hook_messages > 0) messages_.on_gone(record, application_for(record, queue_.front(record)));
  queue_.clear(record);
}

// A channel's own; null where its rules ask nobody any more.
proto::MessageDialect::Endpoint SubscribeCalls::application_for(const Record& record,
                                                                const HookQueue::Message& message) const {
  const auto app = clients_.app_of(record);
  return app == nullptr ? nullptr : policy_.rules_of(config::channel_on_node(*app, asked_of(message).channel)).webhook;
}

hook::Webhooks::CallId SubscribeCalls::call(const Endpoint& endpoint, const hook::Subject& subject,
                                            const HookQueue::Message& message, hook::Webhooks::OnReply done) {
  const Record* record = clients_.context().connections.find_uid(subject.uid);
  const auto app = record == nullptr ? nullptr : clients_.app_of(*record);
  const std::string name = asked_of(message).channel;
  const std::string channel = app == nullptr ? name : config::channel_on_node(*app, name);
  const std::string id = proto::message_id(subject.uid, message.sequence);
  hook::Call call;
  call.endpoint = endpoint;
  call.type = "beamgate.subscribe";
  call.subject = subject;
  call.channel = channel;
  call.id = id;
  call.content_type = "application/json";
  call.body = message.bytes;
  return clients_.context().webhooks.call(call, std::move(done));
}

void SubscribeCalls::act(Record& record, const HookQueue::Message& message, const hook::Reply& reply, OnDone done) {
  auto actions = std::make_shared<hook::Actions>(reply.actions);
  auto asked = std::make_shared<Asked>(asked_of(message));
  runner_.prepare(record, *actions);
  clients_.ops().when_confirmed(record, [this, actions, asked, done = std::move(done)](Record* open) {
    if (open == nullptr) {
      runner_.publish_only(actions);
      return done(nullptr);
    }
    const record::ConnId id = clients_.context().connections.id_of(*open);
    if (!is_withdrawn(*open, asked->channel)) allow(*open, asked->data);
    open = clients_.ops().find_open(id);
    if (open == nullptr) return done(nullptr);
    runner_.complete(*open, actions, done);
  });
}

void SubscribeCalls::allow(Record& record, const json::Value& data) {
  if (const auto app = clients_.app_of(record)) subscribing_.subscribe_allowed(record, *app, data);
}

std::optional<proto::MessageDialect::CloseWith> SubscribeCalls::refuse(Record& record, const Endpoint& endpoint,
                                                                       const HookQueue::Message& message,
                                                                       const hook::Reply& reply) {
  const Asked asked = asked_of(message);
  if (is_withdrawn(record, asked.channel)) return std::nullopt;
  const bool unusable = reply.outcome != hook::Outcome::Answered || reply.status >= 500;
  if (unusable && endpoint->on_error == config::Webhook::OnError::Allow) {
    allow(record, asked.data);
  } else if (unusable) {
    clients_.context().metrics.add(metrics::Metric::SubscriptionsRefusedUnreachable);
    subscribing_.refuse(record, asked.channel, "Overloaded", "Try again.", 503);
  } else {
    clients_.context().metrics.add(metrics::Metric::SubscriptionsRefusedApplication);
    subscribing_.refuse(record, asked.channel, "AuthError", "The application doesn't let clients into this channel.",
                        reply.status);
  }
  return std::nullopt;
}

}  // namespace beamgate::pusher
