#include "worker/proto/action_runner.h"

#include <utility>

#include "common/base/clock.h"
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

// Its place; as many as there are: there is none.
size_t last_publication(const hook::Actions& actions) {
  size_t last = actions.publish.size();
  for (size_t i = 0; i < actions.publish.size(); ++i) {
    if (why_unpublishable(actions.publish[i]) == nullptr) last = i;
  }
  return last;
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
  const bool closes = actions->close && ops_.find_open(id) != nullptr;
  const size_t last = closes ? last_publication(*actions) : actions->publish.size();
  bool waits = false;
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
    uint64_t closing = 0;
    hub::Hub::OnPublished on_published;
    if (next == last) {
      closing = close_later(id, actions, done);
      on_published = [this, closing](const hub::PublishReceipt&) { close_waiting(closing); };
    }
    if (context_.hub.publish(publication.channel, publication.bytes, options, std::move(on_published))) {
      waits = waits || closing != 0;
      continue;
    }
    closing_.erase(closing);
    return bus_wait_.wait(id, [this, id, actions, next, done] { publish_from(id, actions, next, done); });
  }
  if (!waits) close(id, *actions, done);
}

void ActionRunner::close(record::ConnId id, const hook::Actions& actions, const OnDone& done) {
  Record* open = ops_.find_open(id);
  if (open != nullptr && actions.close) {
    ops_.close(*open, metrics::Metric::ClosesApplication, actions.close->code, actions.close->reason);
  }
  done(ops_.find_open(id));
}

uint64_t ActionRunner::close_later(record::ConnId id, const SharedActions& actions, const OnDone& done) {
  closing_.emplace(next_closing_, Closing{monotonic_ms() + kAcknowledgedMs, id, actions, done});
  if (!closing_timer_.active()) closing_timer_.start(kAcknowledgedMs);
  return next_closing_++;
}

void ActionRunner::close_waiting(uint64_t number) {
  const auto found = closing_.find(number);
  if (found == closing_.end()) return;
  const Closing closing = std::move(found->second);
  closing_.erase(found);
  close(closing.id, *closing.actions, closing.done);
}

void ActionRunner::close_late() {
  const int64_t now_ms = monotonic_ms();
  while (!closing_.empty() && closing_.begin()->second.late_ms <= now_ms) close_waiting(closing_.begin()->first);
  if (!closing_.empty()) closing_timer_.start(closing_.begin()->second.late_ms - now_ms);
}

void ActionRunner::refused(const Record& record, const char* action, const Error& error) {
  context_.log.warn("webhook_action_refused",
                    {{"connection", record::format_uid(record.uid)}, {"action", action}, {"reason", error.text}});
}

}  // namespace beamgate::proto
