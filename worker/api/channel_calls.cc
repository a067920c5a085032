#include "worker/api/channel_calls.h"

#include <memory>
#include <utility>

#include "common/config/channel_rules.h"
#include "worker/hub/hub.h"
#include "worker/proto/centrifuge/queries.h"
#include "worker/settings.h"

namespace beamgate::api {
namespace {

namespace shapes = proto::centrifuge;

constexpr json::Limits kOwnLimits{.bytes = size_t{64} << 20, .depth = 80, .values = 5'000'000};

Reply reply_of(const std::string& result) {
  auto parsed = json::parse(result, kOwnLimits);
  if (!parsed) return Reply::failed(ErrorCode::LimitExceeded, "answer too big");
  Reply reply;
  reply.result = std::move(parsed).value();
  return reply;
}

bool keeps_presence(const config::ChannelRules& rules) { return rules.presence; }
bool keeps_history(const config::ChannelRules& rules) { return rules.history > 0 || rules.cache; }

}  // namespace

bool ChannelCalls::read_channel(const json::Value& params, bool (*kept)(const config::ChannelRules&),
                                std::string_view& channel, const Done& done) const {
  channel = params.get_string("channel").value_or("");
  if (!hub::Hub::valid_channel(channel)) {
    done(Reply::failed(ErrorCode::BadRequest, "not a channel name"));
    return false;
  }
  if (kept(config::rules_of(context_.settings.current().http, channel))) return true;
  done(Reply::failed(ErrorCode::NotAvailable));
  return false;
}

void ChannelCalls::ask(const ipc::Ask& question, Done done, OnState answer) {
  context_.hub.ask(question, [done = std::move(done), answer = std::move(answer)](const ipc::ChannelState& state) {
    if (!state.answered) return done(Reply::failed(ErrorCode::TooManyRequests, "too much for the bus"));
    answer(state);
  });
}

void ChannelCalls::presence(const json::Value& params, Done done) {
  std::string_view channel;
  if (!read_channel(params, keeps_presence, channel, done)) return;
  const ipc::Ask question{.channel = channel, .wants = ipc::kStateMembers, .members_max = kMembersMax};
  ask(question, done, [done](const ipc::ChannelState& state) {
    if (!state.listed) return done(Reply::failed(ErrorCode::LimitExceeded, "too many to list them"));
    done(reply_of(shapes::presence_result(state)));
  });
}

void ChannelCalls::presence_stats(const json::Value& params, Done done) {
  std::string_view channel;
  if (!read_channel(params, keeps_presence, channel, done)) return;
  ask({.channel = channel}, done,
      [done](const ipc::ChannelState& state) { done(reply_of(shapes::presence_stats_result(state))); });
}

void ChannelCalls::history(const json::Value& params, Done done) {
  std::string_view channel;
  if (!read_channel(params, keeps_history, channel, done)) return;
  shapes::HistoryQuery query;
  const char* problem = nullptr;
  if (!shapes::read_history_query(params, query, problem)) return done(Reply::failed(ErrorCode::BadRequest, problem));
  query.question.channel = channel;
  const bool with_publications = query.question.publications_max > 0;
  ask(query.question, done,
      [done, with_publications, checks = query.checks_epoch, epoch = query.epoch](const ipc::ChannelState& state) {
        if (checks && state.epoch != epoch) return done(Reply::failed(ErrorCode::UnrecoverablePosition));
        done(reply_of(shapes::history_result(state, with_publications)));
      });
}

void ChannelCalls::history_remove(const json::Value& params, Done done) {
  std::string_view channel;
  if (!read_channel(params, keeps_history, channel, done)) return;
  ask({.channel = channel, .wants = ipc::kStateForget}, done, [done](const ipc::ChannelState&) { done(Reply()); });
}

void ChannelCalls::look(std::string_view channel, Done done) {
  if (!hub::Hub::valid_channel(channel)) return done(Reply::failed(ErrorCode::BadRequest, "not a channel name"));
  const std::string name(channel);
  nodes_.subscribers(name, [this, name, done](Reply&& counted) {
    if (!counted.ok()) return done(std::move(counted));
    const uint64_t clients = counted.result.get_uint("num_clients").value_or(0);
    ask({.channel = name}, done, [name, clients, done](const ipc::ChannelState& state) {
      Reply reply;
      reply.result.set("channel", name).set("num_clients", clients).set("num_users", state.users);
      reply.result.set("epoch", state.epoch).set("offset", state.offset);
      done(std::move(reply));
    });
  });
}

}  // namespace beamgate::api
