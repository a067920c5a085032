#include "worker/proto/centrifuge/application_calls.h"

#include <algorithm>
#include <utility>

#include "worker/hook/actions.h"
#include "worker/hook/header_text.h"
#include "worker/net/connections.h"
#include "worker/proto/centrifuge/shapes.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto::centrifuge {
namespace {

using metrics::Metric;
using record::Record;

Command command_of(const HookQueue::Message& message) {
  Command command;
  CommandReader(message.bytes).next(command);
  return command;
}

std::string data_of(const Command& command) {
  const json::Value* data = command.params.find("data");
  return data == nullptr ? "null" : data->dump();
}

// The first message of a reply, taken out of its actions, as JSON for the client: "null" when there is none.
std::string take_result(hook::Actions& actions) {
  if (actions.send.empty()) return "null";
  const hook::Message first = std::move(actions.send.front());
  actions.send.erase(actions.send.begin());
  std::string out;
  append_data(out, first.binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text, first.bytes);
  return out;
}

// {"error":{"code":N,"message":"..."}}, the application's own.
struct OwnError {
  uint16_t code = 0;
  std::string message;
};

OwnError own_error(const hook::Reply& reply) {
  constexpr uint64_t kCodeMin = 400;
  constexpr uint64_t kCodeMax = 1999;
  if (reply.status < 400 || reply.status >= 500) return {};
  const auto parsed = json::parse(reply.body);
  const json::Value* error = parsed ? parsed.value().find("error") : nullptr;
  const uint64_t code = error == nullptr ? 0 : error->get_uint("code").value_or(0);
  if (code < kCodeMin || code > kCodeMax) return {};
  return {static_cast<uint16_t>(code), std::string(error->get_string("message").value_or(""))};
}

ErrorCode error_of(const hook::Reply& reply, Method method) {
  if (reply.outcome != hook::Outcome::Answered || reply.status < 400 || reply.status >= 500) return ErrorCode::Internal;
  switch (reply.status) {
    case 401:
    case 403: return ErrorCode::PermissionDenied;
    case 404: return method == Method::Rpc ? ErrorCode::MethodNotFound : ErrorCode::UnknownChannel;
    case 429: return ErrorCode::TooManyRequests;
    default: return ErrorCode::BadRequest;
  }
}

}  // namespace

ApplicationCalls::ApplicationCalls(Context& context, ConnectionOps& ops, ws::WebSockets& websockets,
                                   ActionRunner& runner, Subjects& subjects, ChannelAccess& access,
                                   Subscriptions& subscriptions, Queries& queries)
    : context_(context),
      ops_(ops),
      sender_(websockets),
      access_(access),
      runner_(runner),
      subscriptions_(subscriptions),
      queries_(queries),
      messages_(context, ops, runner, subjects, *this) {}

void ApplicationCalls::queue(Record& record, const Endpoint& endpoint, const Command& command) {
  messages_.on_message(record, endpoint, false, command.text);
}

void ApplicationCalls::withdraw(Record& record, const Command& unsubscribe) {
  if (record.hook_messages == 0) return;
  HookQueue queue(context_.arena);
  bool answered = answered_.contains(record.uid);  // Of the first one only.
  std::vector<uint64_t> waiting;
  for (const HookQueue::Message& message : queue.all(record)) {
    const Command command = command_of(message);
    const bool wants_answer = !std::exchange(answered, false);
    if (command.channel() != unsubscribe.channel()) continue;
    if (command.method == Method::Unsubscribe) waiting.clear();
    if (command.method == Method::Subscribe && wants_answer) waiting.push_back(command.id);
  }
  if (waiting.empty()) return;
  if (!queue.push(record, false, 0, unsubscribe.text)) return sender_.close(record, Metric::ClosesMemory, kServerError);
  for (const uint64_t id : waiting) sender_.error(record, id, ErrorCode::Internal, kUnsubscribedMeanwhile);
}

// REQUIRES: the subscribe is the first one in the queue.
bool ApplicationCalls::is_withdrawn(const Record& record, const Command& subscribe) const {
  if (subscribe.method != Method::Subscribe || record.hook_messages <= 1) return false;
  const auto messages = HookQueue(context_.arena).all(record);
  return std::any_of(messages.begin() + 1, messages.end(), [&](const HookQueue::Message& message) {
    const Command command = command_of(message);
    return command.method == Method::Unsubscribe && command.channel() == subscribe.channel();
  });
}

// What has been answered already.
bool ApplicationCalls::handle(Record& record, const HookQueue::Message& message) {
  if (record.hook_messages == 0) return false;
  const Command command = command_of(message);
  return command.method == Method::Unsubscribe || is_withdrawn(record, command);
}

void ApplicationCalls::adopt(Record& record) {
  if (record.hook_messages == 0) return;
  HookQueue queue(context_.arena);
  const Endpoint endpoint = endpoint_for(record.uid, nullptr, command_of(queue.front(record)));
  if (endpoint == nullptr) return queue.clear(record);  // The configuration asks nobody any more.
  messages_.begin(record, endpoint);
}

// `first` is the endpoint of the first command in the queue; each command has its own.
MessageDialect::Endpoint ApplicationCalls::endpoint_for(uint64_t uid, const Endpoint& first,
                                                        const Command& command) const {
  if (command.method != Method::Subscribe && command.method != Method::Publish) {
    const Record* record = context_.connections.find_uid(uid);
    const config::WebSocketAction* action = record == nullptr ? nullptr : access_.action_of(*record);
    return action == nullptr || action->webhook == nullptr ? first : action->webhook;
  }
  const auto& own = access_.rules(command.params.get_string("channel").value_or("")).webhook;
  return own == nullptr ? first : own;
}

hook::Webhooks::CallId ApplicationCalls::call(const Endpoint& endpoint, const hook::Subject& subject,
                                              const HookQueue::Message& message, hook::Webhooks::OnReply done) {
  const Command command = command_of(message);
  const std::string id = message_id(subject.uid, message.sequence);
  const std::string body = data_of(command);
  std::string fields(subject.forward_fields);
  hook::Call call;
  call.endpoint = endpoint_for(subject.uid, endpoint, command);
  call.type = command.method == Method::Subscribe ? "beamgate.subscribe"
              : command.method == Method::Publish ? "beamgate.publish"
                                                  : "beamgate.message";
  if (command.method == Method::Rpc) {
    fields += "beamgate-method: ";
    hook::append_percent_encoded(fields, command.params.get_string("method").value_or(""));
    fields += "\r\n";
  } else if (command.method != Method::Send) {
    call.channel = command.params.get_string("channel").value_or("");
  }
  call.subject = subject;
  call.subject.forward_fields = fields;
  call.id = id;
  call.content_type = "application/json";
  call.body = body;
  return context_.webhooks.call(call, std::move(done));
}

void ApplicationCalls::act(Record& record, const HookQueue::Message& message, const hook::Reply& reply, OnDone done) {
  auto actions = std::make_shared<hook::Actions>(reply.actions);
  auto command = std::make_shared<Command>(command_of(message));
  command->text = {};  // The queue may go before the answer does.
  if (command->method == Method::Send) return runner_.run(record, std::move(actions), std::move(done));
  const std::string result = take_result(*actions);
  runner_.prepare(record, *actions);
  ops_.when_confirmed(record, [this, actions, command, result, done = std::move(done)](Record* open) {
    if (open == nullptr) {
      runner_.publish_only(actions);
      return done(nullptr);
    }
    if (command->method == Method::Rpc) {
      sender_.reply(*open, command->id, Method::Rpc, "{\"data\":" + result + "}");
    } else if (command->method == Method::Subscribe) {
      if (!is_withdrawn(*open, *command)) subscriptions_.subscribe_allowed(*open, *command);
    } else {
      queries_.publish_allowed(*open, *command);
    }
    const uint64_t uid = open->uid;
    answered_.insert(uid);
    runner_.complete(*open, actions, [this, uid, done](Record* then) {
      answered_.erase(uid);
      done(then);
    });
  });
}

std::optional<MessageDialect::CloseWith> ApplicationCalls::refuse(Record& record, const Endpoint& endpoint,
                                                                  const HookQueue::Message& message,
                                                                  const hook::Reply& reply) {
  const Command command = command_of(message);
  if (command.method == Method::Send) {
    if (error_of(reply, command.method) == ErrorCode::Internal) {
      context_.metrics.add(Metric::MessagesDroppedApplication);
    }
    return std::nullopt;
  }
  if (is_withdrawn(record, command)) return std::nullopt;
  const ErrorCode code = error_of(reply, command.method);
  const bool allowed = code == ErrorCode::Internal && command.method != Method::Rpc &&
                       endpoint_for(record.uid, endpoint, command)->on_error == config::Webhook::OnError::Allow;
  if (!allowed) count_refused(command.method, code);
  if (allowed && command.method == Method::Subscribe) {
    subscriptions_.subscribe_allowed(record, command);
  } else if (allowed) {
    queries_.publish_allowed(record, command);
  } else if (const OwnError own = own_error(reply); own.code != 0) {
    sender_.error(record, command.id, static_cast<ErrorCode>(own.code), own.message);
  } else {
    sender_.error(record, command.id, code);
  }
  return std::nullopt;
}

void ApplicationCalls::count_refused(Method method, ErrorCode code) {
  const bool unreachable = code == ErrorCode::Internal;
  if (method == Method::Subscribe) {
    context_.metrics.add(unreachable ? Metric::SubscriptionsRefusedUnreachable
                                     : Metric::SubscriptionsRefusedApplication);
  } else if (method == Method::Publish) {
    context_.metrics.add(unreachable ? Metric::PublicationsRefusedUnreachable : Metric::PublicationsRefusedApplication);
  } else if (unreachable) {
    context_.metrics.add(Metric::MessagesDroppedApplication);
  }
}

// Nobody is there to be subscribed or answered; what was sent was sent.
bool ApplicationCalls::outlives_client(const Record&, const HookQueue::Message& message) {
  return command_of(message).method == Method::Send;
}

}  // namespace beamgate::proto::centrifuge
