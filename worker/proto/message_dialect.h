// Message dialect: what a mode makes of a client's message and of the application's word about it.
//
// Owner      The mode; HookMessages and Leftovers call it.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "worker/hook/webhooks.h"
#include "worker/proto/hook_queue.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class MessageDialect {
 public:
  using OnDone = std::function<void(record::Record*)>;  // Null: the connection has gone meanwhile.
  using Endpoint = std::shared_ptr<const config::Webhook>;
  struct CloseWith {
    metrics::Metric why;  // What it is counted as.
    uint16_t code;
    std::string_view reason;
  };

  virtual ~MessageDialect() = default;

  // Deals with a message whose turn has come.  False, and nothing has happened: the application is to be called.
  virtual bool handle(record::Record& record, const HookQueue::Message& message) {
    return static_cast<void>(record), static_cast<void>(message), false;
  }
  // Whose application that is; null: that of the message before, or whom HookMessages was told.
  virtual Endpoint application_for(const record::Record& record, const HookQueue::Message& message) const {
    return static_cast<void>(record), static_cast<void>(message), nullptr;
  }
  virtual hook::Webhooks::CallId call(const Endpoint& endpoint, const hook::Subject& subject,
                                      const HookQueue::Message& message, hook::Webhooks::OnReply done) = 0;
  // The same with several messages, of which `again` bytes were brought before and not taken (hook::Actions::taken).
  virtual hook::Webhooks::CallId call_again(const Endpoint& endpoint, const hook::Subject& subject,
                                            std::span<const HookQueue::Message> messages, uint64_t again,
                                            hook::Webhooks::OnReply done) {
    return static_cast<void>(again), call(endpoint, subject, messages.front(), std::move(done));
  }
  // The application has answered with 2xx.  done runs once, when the next message may be dealt with.
  virtual void act(record::Record& record, const HookQueue::Message& message, const hook::Reply& reply,
                   OnDone done) = 0;
  // It has not.  Nothing: the next message is dealt with.
  virtual std::optional<CloseWith> refuse(record::Record& record, const Endpoint& endpoint,
                                          const HookQueue::Message& message, const hook::Reply& reply) = 0;
  // Whether the application is to get it although its client has gone since; the record is as it was then.
  virtual bool outlives_client(const record::Record& record, const HookQueue::Message& message) {
    return static_cast<void>(record), static_cast<void>(message), true;
  }
};

}  // namespace beamgate::proto
