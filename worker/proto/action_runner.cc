#include "worker/proto/action_runner.h"

#include "worker/net/connections.h"
#include "worker/record/uid.h"

namespace beamgate::proto {

using record::Record;

namespace {

// Null: it can be.  reply_max may let more in than the bus can carry.
const char* why_unpublishable(const hook::Publish& publication) {
  if (!hub::Hub::valid_channel(publication.channel)) return "not a channel name";
  return publication.bytes.size() > ipc::kPublicationBytesMax ? "too large" : nullptr;
}

}  // namespace

void ActionRunner::prepare(Record& record, const hook::Actions& actions) {
  if (actions.state) {
    if (const auto set = ops_.set_state(record, *actions.state); !set) refused(record, "state", set.error());
  }
  if (actions.user) {
    if (const auto set = ops_.set_user(record, *actions.user); !set) refused(record, "user", set.error());
  }
  for (const std::string& channel : actions.subscribe) {
    const auto subscribed = ops_.subscribe(record, channel);
    if (!subscribed) refused(record, "subscribe", subscribed.error());
  }
}

void ActionRunner::complete(Record& record, SharedActions actions, OnDone done) {
  const record::ConnId id = context_.connections.id_of(record);
  for (const std::string& channel : actions->unsubscribe) ops_.unsubscribe(record, channel);
  for (const hook::Message& message : actions->send) {
    Record* open = ops_.find_open(id);
    if (open == nullptr || !ops_.send(*open, message.binary, message.bytes)) break;
  }
  publish_from(id, actions, 0, done);
}

void ActionRunner::run(Record& record, SharedActions actions, OnDone done) {
  prepare(record, *actions);
  ops_.when_confirmed(record, [this, actions = std::move(actions), done = std::move(done)](Record* confirmed) {
    if (confirmed != nullptr) return complete(*confirmed, actions, done);
    publish_only(actions);
    done(nullptr);
  });
}

void ActionRunner::publish_only(SharedActions actions) {
  publish_from(record::ConnId{}, actions, 0, [](Record*) {});
}

void ActionRunner::publish_from(record::ConnId id, const SharedActions& actions, size_t next, const OnDone& done) {
  for (; next < actions->publish.size(); ++next) {
    const hook::Publish& publication = actions->publish[next];
    if (const char* why = why_unpublishable(publication)) {
      const Record* caller = context_.connections.find(id);
      context_.log.warn("webhook_action_refused",
                        {{"connection", record::format_uid_or_none(caller == nullptr ? 0 : caller->uid)},
                         {"action", "publish"}, {"reason", why}});
      continue;
    }
    hub::PublishOptions options;
    options.kind = publication.binary ? ipc::PayloadKind::Binary : ipc::PayloadKind::Text;
    options.except = publication.except;
    options.origin.event = publication.event;
    if (context_.hub.publish(publication.channel, publication.bytes, options)) continue;
    return bus_wait_.wait(id, [this, id, actions, next, done] { publish_from(id, actions, next, done); });
  }
  Record* open = ops_.find_open(id);
  if (open != nullptr && actions->close) {
    ops_.close(*open, metrics::Metric::ClosesApplication, actions->close->code, actions->close->reason);
  }
  done(ops_.find_open(id));
}

void ActionRunner::refused(const Record& record, const char* action, const Error& error) {
  context_.log.warn("webhook_action_refused",
                    {{"connection", record::format_uid(record.uid)}, {"action", action}, {"reason", error.text}});
}

}  // namespace beamgate::proto
