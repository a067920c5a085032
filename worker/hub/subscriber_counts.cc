#include "worker/hub/subscriber_counts.h"

#include <utility>

#include "common/ipc/wire.h"

namespace beamgate::hub {
namespace {

struct SubscribersQuestion {
  std::vector<std::string_view> channels;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channels); }
};

struct SubscribersAnswer {
  std::vector<std::string_view> channels;  // Always empty: other builds look for it.
  std::vector<uint32_t> subscribers;       // In the question's order.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.channels), v(m.subscribers); }
};

std::string answer_subscribers(const Hub& hub, std::string_view body) {
  SubscribersQuestion question;
  SubscribersAnswer answer;
  if (!ipc::decode(body, question)) return {};
  for (const std::string_view channel : question.channels) {
    answer.subscribers.push_back(static_cast<uint32_t>(hub.local_subscribers(channel)));
  }
  return ipc::encode(answer);
}

}  // namespace

void serve_subscriber_counts(Remote& remote, const Hub& hub) {
  remote.serve(Method::Subscribers, [&hub](std::string_view body) { return answer_subscribers(hub, body); });
}

bool ask_subscriber_counts(Remote& remote, const std::vector<std::string_view>& channels, OnSubscriberCounts done) {
  const auto on_answers = [many = channels.size(), done = std::move(done)](std::vector<Answer>&& answers) {
    std::vector<uint64_t> totals(many);
    for (const Answer& each : answers) {
      SubscribersAnswer one;
      if (!each.answered || !ipc::decode(each.body, one) || one.subscribers.size() != many) continue;
      for (size_t i = 0; i < many; ++i) totals[i] += one.subscribers[i];
    }
    done(totals);
  };
  return remote.ask_all(Method::Subscribers, ipc::encode(SubscribersQuestion{channels}), on_answers);
}

}  // namespace beamgate::hub
