#include "worker/api/node_calls.h"

#include <unistd.h>

#include <map>
#include <unordered_set>

#include "common/base/clock.h"
#include "common/ipc/wire.h"
#include "common/version.h"
#include "common/base/glob.h"
#include "worker/hub/hub.h"
#include "worker/hub/remote.h"
#include "worker/hub/subscriber_counts.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"

namespace beamgate::api {
namespace {

struct ChannelsQuestion {
  std::string_view pattern;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.pattern); }
};

struct ChannelsAnswer {
  bool complete = true;
  std::vector<std::string_view> names;
  std::vector<uint32_t> subscribers;  // Parallel to names.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.complete), v(m.names), v(m.subscribers); }
};

struct InfoQuestion {
  bool whole = true;  // False: only what is counted anyway; users, channels and subscriptions are 0 then.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.whole); }
};

struct InfoAnswer {
  uint32_t pid = 0;
  uint64_t uptime_s = 0;
  uint32_t connections = 0;
  uint32_t clients = 0;        // WebSockets.
  uint32_t users = 0;
  uint32_t channels = 0;
  uint64_t subscriptions = 0;
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t deliveries = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.pid), v(m.uptime_s), v(m.connections), v(m.clients), v(m.users), v(m.channels), v(m.subscriptions),
        v(m.messages_received), v(m.messages_sent), v(m.deliveries);
  }
};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

Reply merge_channels(const std::vector<hub::Answer>& answers) {
  std::map<std::string_view, uint64_t> counts;
  for (const hub::Answer& answer : answers) {
    ChannelsAnswer one;
    if (!answer.answered || !ipc::decode(answer.body, one) || one.names.size() != one.subscribers.size()) continue;
    if (!one.complete) return Reply::failed(ErrorCode::LimitExceeded, "too many channels, use a narrower pattern");
    for (size_t i = 0; i < one.names.size(); ++i) counts[one.names[i]] += one.subscribers[i];
  }
  json::Value::Object channels;
  channels.reserve(counts.size());
  for (const auto& [name, count] : counts) {
    channels.emplace_back(name, json::Value::object().set("num_clients", count));
  }
  Reply reply;
  reply.result.set("channels", json::Value(std::move(channels)));
  return reply;
}

json::Value worker_to_json(uint16_t worker, const InfoAnswer& info) {
  json::Value view;
  view.set("worker", static_cast<unsigned>(worker)).set("pid", info.pid).set("uptime", info.uptime_s);
  view.set("num_connections", info.connections).set("num_clients", info.clients).set("num_users", info.users);
  view.set("num_channels", info.channels).set("num_subs", info.subscriptions);
  view.set("messages_received", info.messages_received).set("messages_sent", info.messages_sent);
  view.set("deliveries", info.deliveries);
  return view;
}

Reply merge_info(const std::vector<hub::Answer>& answers, const std::string& node_name) {
  uint64_t clients = 0, users = 0, channels = 0, subscriptions = 0, uptime_s = 0;
  json::Value workers = json::Value::array();
  for (const hub::Answer& answer : answers) {
    InfoAnswer info;
    if (!answer.answered || !ipc::decode(answer.body, info)) continue;
    clients += info.clients;
    users += info.users;
    channels += info.channels;
    subscriptions += info.subscriptions;
    uptime_s = std::max(uptime_s, info.uptime_s);
    workers.push(worker_to_json(answer.worker, info));
  }
  json::Value node;
  node.set("uid", node_name).set("name", node_name).set("version", BEAMGATE_VERSION);
  node.set("num_clients", clients).set("num_users", users).set("num_channels", channels);
  node.set("num_subs", subscriptions).set("uptime", uptime_s).set("workers", std::move(workers));
  Reply reply;
  reply.result.set("nodes", json::Value::array().push(std::move(node)));
  return reply;
}

// What has to be gone through: the users of WebSockets, and the channels.
void count_names(Context& context, InfoAnswer& info) {
  std::unordered_set<std::string_view> users;
  context.connections.for_each([&](record::Record& record) {
    if (record.phase != record::Phase::WebSocket || record.user == record::kNull) return;
    users.insert(record::text_of(context.arena, record.user));
  });
  info.users = static_cast<uint32_t>(users.size());
  context.hub.for_each_channel({}, [&](std::string_view, size_t subscribers) {
    ++info.channels;
    info.subscriptions += subscribers;
  });
}

}  // namespace

NodeCalls::NodeCalls(Context& context) : context_(context), started_ms_(monotonic_ms()) {
  context_.remote.serve(hub::Method::Channels, [this](std::string_view body) { return answer_channels(body); });
  context_.remote.serve(hub::Method::Info, [this](std::string_view body) { return answer_info(body); });
}

void NodeCalls::channels(const json::Value& params, Done done) {
  const json::Value* given = params.find("pattern");
  const auto pattern = given == nullptr ? std::string_view() : given->as_string();
  if (!pattern) return done(Reply::failed(ErrorCode::BadRequest, "pattern is not a string"));
  if (pattern->size() > kPatternBytesMax) return done(Reply::failed(ErrorCode::LimitExceeded, "pattern too long"));
  const std::string question = ipc::encode(ChannelsQuestion{pattern->empty() ? "*" : *pattern});
  const auto on_answers = [done](std::vector<hub::Answer>&& answers) { done(merge_channels(answers)); };
  if (!context_.remote.ask_all(hub::Method::Channels, question, on_answers)) {
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

void NodeCalls::subscribers(std::string_view channel, Done done) {
  const auto on_counts = [done](const std::vector<uint64_t>& counts) {
    Reply reply;
    reply.result.set("num_clients", counts.front());
    done(std::move(reply));
  };
  if (!hub::ask_subscriber_counts(context_.remote, {channel}, on_counts)) {
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

void NodeCalls::info(Done done) {
  const auto on_answers = [done](std::vector<hub::Answer>&& answers) { done(merge_info(answers, host_name())); };
  if (!context_.remote.ask_all(hub::Method::Info, ipc::encode(InfoQuestion{}), on_answers)) {
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

void NodeCalls::clients(Done done) {
  const auto on_answers = [done](std::vector<hub::Answer>&& answers) {
    uint64_t clients = 0;
    for (const hub::Answer& answer : answers) {
      InfoAnswer info;
      if (answer.answered && ipc::decode(answer.body, info)) clients += info.clients;
    }
    Reply reply;
    reply.result.set("num_clients", clients);
    done(std::move(reply));
  };
  if (!context_.remote.ask_all(hub::Method::Info, ipc::encode(InfoQuestion{.whole = false}), on_answers)) {
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

std::string NodeCalls::answer_channels(std::string_view body) const {
  ChannelsQuestion question;
  ChannelsAnswer answer;
  if (!ipc::decode(body, question)) return ipc::encode(answer);
  context_.hub.for_each_channel(literal_prefix(question.pattern), [&](std::string_view name, size_t subscribers) {
    if (!matches(question.pattern, name)) return;
    if (name.starts_with(hub::kUserChannelPrefix) && !question.pattern.starts_with('#')) return;
    if (answer.names.size() >= kChannelsMax) {
      answer.complete = false;
      return;
    }
    answer.names.push_back(name);
    answer.subscribers.push_back(static_cast<uint32_t>(subscribers));
  });
  return ipc::encode(answer);
}

std::string NodeCalls::answer_info(std::string_view body) const {
  using metrics::Metric;
  InfoQuestion question;
  const bool whole = !ipc::decode(body, question) || question.whole;  // Older builds ask without a body.
  InfoAnswer info;
  info.pid = static_cast<uint32_t>(getpid());
  info.uptime_s = static_cast<uint64_t>(monotonic_ms() - started_ms_) / 1000;
  info.connections = context_.connections.active();
  info.clients = static_cast<uint32_t>(context_.metrics.get(Metric::WebSocketsActive));
  info.messages_received = context_.metrics.get(Metric::MessagesReceived);
  info.messages_sent = context_.metrics.get(Metric::MessagesSent);
  info.deliveries = context_.metrics.get(Metric::HubDeliveries);
  if (whole) count_names(context_, info);
  return ipc::encode(info);
}

}  // namespace beamgate::api
