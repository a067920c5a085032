#include "worker/proto/leftovers.h"

#include "worker/record/uid.h"

namespace beamgate::proto {

void Leftovers::take(record::Record& record, const std::shared_ptr<const config::Webhook>& endpoint) {
  if (record.hook_messages == 0) return;
  if (gone_.size() >= kConnectionsMax) {
    context_.log.warn("webhook_messages_dropped", {{"connection", record::format_uid(record.uid)},
                                                   {"messages", record.hook_messages},
                                                   {"reason", "their client is gone"}});
    context_.metrics.add(metrics::Metric::MessagesDroppedApplication, record.hook_messages);
    return queue_.clear(record);
  }
  const hook::Subject subject = subjects_.of(record);
  Gone& gone = gone_[record.uid];
  gone = Gone{endpoint, std::string(subject.listener), std::string(subject.user), std::string(subject.state),
              std::string(subject.forward_fields), {}};
  for (; record.hook_messages > 0; queue_.pop(record)) {
    const HookQueue::Message message = queue_.front(record);
    if (!dialect_.outlives_client(record, message)) continue;
    gone.messages.push_back({message.binary, message.sequence, std::string(message.bytes)});
  }
  if (gone.messages.empty()) gone_.erase(record.uid);
}

void Leftovers::start(uint64_t uid) {
  const auto found = gone_.find(uid);
  if (found == gone_.end()) return;
  const Gone& gone = found->second;
  const Message& message = gone.messages.front();
  hook::Subject subject;
  subject.uid = uid;
  subject.listener = gone.listener;
  subject.user = gone.user;
  subject.state = gone.state;
  subject.forward_fields = gone.fields;
  const HookQueue::Message view{message.binary, message.sequence, message.bytes};
  dialect_.call(gone.endpoint, subject, view, [this, uid](const hook::Reply& reply) { on_reply(uid, reply); });
}

void Leftovers::settle(uint64_t uid, const hook::Reply& reply) {
  if (reply.accepted()) runner_.publish_only(std::make_shared<hook::Actions>(reply.actions));
  start(uid);
}

void Leftovers::on_reply(uint64_t uid, const hook::Reply& reply) {
  const auto found = gone_.find(uid);
  if (found == gone_.end()) return;
  if (!reply.accepted()) {
    context_.metrics.add(metrics::Metric::MessagesDroppedApplication, found->second.messages.size());
  }
  found->second.messages.pop_front();
  if (!reply.accepted() || found->second.messages.empty()) {
    gone_.erase(found);
  } else {
    if (reply.actions.state) found->second.state = *reply.actions.state;
    if (reply.actions.user) found->second.user = *reply.actions.user;
    start(uid);
  }
  if (reply.accepted()) runner_.publish_only(std::make_shared<hook::Actions>(reply.actions));
}

}  // namespace beamgate::proto
