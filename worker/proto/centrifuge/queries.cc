#include "worker/proto/centrifuge/queries.h"

#include <algorithm>

#include "worker/net/connections.h"
#include "worker/proto/centrifuge/shapes.h"

namespace beamgate::proto::centrifuge {
namespace {

using record::ConnId;
using record::Record;

// Left out and null are the same.
const json::Value* find_given(const json::Value& params, std::string_view name) {
  const json::Value* given = params.find(name);
  return given == nullptr || given->is_null() ? nullptr : given;
}

}  // namespace

bool read_history_query(const json::Value& params, HistoryQuery& query, const char*& problem) {
  const json::Value* wanted = find_given(params, "limit");
  const int64_t limit = wanted == nullptr ? 0 : wanted->as_int().value_or(-2);
  if (limit < -1) {
    problem = "limit is no number of publications";
    return false;
  }
  const json::Value* backwards = find_given(params, "reverse");
  if (backwards != nullptr && !backwards->as_bool()) {
    problem = "reverse is not true or false";
    return false;
  }
  const bool reverse = backwards != nullptr && *backwards->as_bool();
  ipc::Ask& question = query.question;
  question.publications_max = limit < 0 ? kHistoryMax : static_cast<uint32_t>(std::min<int64_t>(limit, kHistoryMax));
  const json::Value* since = find_given(params, "since");
  if (since != nullptr) {
    const bool typed = since->is_object() && (!since->has("offset") || since->get_uint("offset")) &&
                       (!since->has("epoch") || since->get_string("epoch"));
    if (!typed) {
      problem = "since is no position";
      return false;
    }
    question.after = since->get_uint("offset").value_or(0);
    query.epoch = since->get_string("epoch").value_or("");
    query.checks_epoch = !query.epoch.empty();
  }
  if (question.publications_max == 0) return true;
  const bool from_the_end = reverse && since == nullptr;
  question.wants = from_the_end ? ipc::kStateNewest : ipc::kStateAfter;
  if (reverse) question.wants |= ipc::kStateReverse;
  return true;
}

std::string history_result(const ipc::ChannelState& state, bool with_publications) {
  std::string out = "{\"publications\":";
  if (with_publications) {
    append_publications(out, state.publications);
  } else {
    out += "[]";
  }
  append_field(out += ',', "epoch", state.epoch);
  append_field(out += ',', "offset", state.offset);
  return out += '}';
}

std::string presence_stats_result(const ipc::ChannelState& state) {
  std::string out = "{";
  append_field(out, "num_clients", state.connections);
  append_field(out += ',', "num_users", state.users);
  return out += '}';
}

std::string presence_result(const ipc::ChannelState& state) {
  std::string out = "{\"presence\":";
  append_members(out, state.members);
  return out += '}';
}

std::shared_ptr<const config::Webhook> Queries::publish(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (!hub::Hub::valid_channel(channel) || !command.params.has("data")) {
    sender_.error(record, command.id, ErrorCode::BadRequest);
    return nullptr;
  }
  const size_t bytes = command.params.find("data")->dump().size();
  if (const auto refused = access_.refuse_publish(record, channel, bytes)) {
    sender_.error(record, command.id, *refused);
    return nullptr;
  }
  if (const auto& webhook = access_.rules(channel).webhook) return webhook;
  publish_allowed(record, command);
  return nullptr;
}

void Queries::publish_allowed(Record& record, const Command& command) {
  const std::string data = command.params.find("data")->dump();
  const std::string user(ops_.user_of(record));
  hub::PublishOptions options{.kind = ipc::PayloadKind::Json, .origin = {.sender = record.uid, .user = user}};
  const auto done = [this, id = context_.connections.id_of(record), command_id = command.id](
                        const hub::PublishReceipt& receipt) {
    Record* open = ops_.find_open(id);
    if (open == nullptr) return;
    if (receipt.accepted) return sender_.reply(*open, command_id, Method::Publish, "{}");
    context_.metrics.add(metrics::Metric::PublicationsRefusedBus);
    sender_.error(*open, command_id, ErrorCode::TooManyRequests);
  };
  if (!context_.hub.publish(command.channel(), data, options, done)) {
    context_.metrics.add(metrics::Metric::PublicationsRefusedBus);
    sender_.error(record, command.id, ErrorCode::TooManyRequests);
  }
}

void Queries::ask(Record& record, const Command& command, const ipc::Ask& question,
                  std::function<void(Record&, const ipc::ChannelState&)> answer) {
  context_.hub.ask(question, [this, id = context_.connections.id_of(record), command_id = command.id,
                              answer = std::move(answer)](const ipc::ChannelState& state) {
    Record* open = ops_.find_open(id);
    if (open == nullptr) return;
    if (!state.answered) return sender_.error(*open, command_id, ErrorCode::TooManyRequests);
    answer(*open, state);
  });
}

void Queries::presence(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (const auto refused = access_.refuse_presence(record, channel)) {
    return sender_.error(record, command.id, *refused);
  }
  const ipc::Ask question{.channel = channel, .wants = ipc::kStateMembers, .members_max = kMembersMax};
  ask(record, command, question, [this, id = command.id](Record& open, const ipc::ChannelState& state) {
    if (!state.listed) return sender_.error(open, id, ErrorCode::LimitExceeded, "too many to list them");
    const std::string result = presence_result(state);
    if (result.size() + kReplyOverhead > context_.connections.outbound_room(open)) {
      return sender_.error(open, id, ErrorCode::LimitExceeded, "more than can be sent at once");
    }
    sender_.reply(open, id, Method::Presence, result);
  });
}

void Queries::presence_stats(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (const auto refused = access_.refuse_presence(record, channel)) {
    return sender_.error(record, command.id, *refused);
  }
  ask(record, command, {.channel = channel}, [this, id = command.id](Record& open, const ipc::ChannelState& state) {
    sender_.reply(open, id, Method::PresenceStats, presence_stats_result(state));
  });
}

void Queries::history(Record& record, const Command& command) {
  const std::string_view channel = command.channel();
  if (const auto refused = access_.refuse_history(record, channel)) {
    return sender_.error(record, command.id, *refused);
  }
  HistoryQuery query;
  const char* problem = nullptr;
  if (!read_history_query(command.params, query, problem)) {
    return sender_.error(record, command.id, ErrorCode::BadRequest, problem);
  }
  query.question.channel = channel;
  const bool with_publications = query.question.publications_max > 0;
  ask(record, command, query.question,
      [this, id = command.id, with_publications, checks = query.checks_epoch, epoch = query.epoch](
          Record& open, const ipc::ChannelState& state) {
        if (checks && state.epoch != epoch) return sender_.error(open, id, ErrorCode::UnrecoverablePosition);
        const std::string result = history_result(state, with_publications);
        if (result.size() + kReplyOverhead > context_.connections.outbound_room(open)) {
          return sender_.error(open, id, ErrorCode::LimitExceeded, "more than can be sent at once");
        }
        sender_.reply(open, id, Method::History, result);
      });
}

}  // namespace beamgate::proto::centrifuge
