// Message call: one client message as a call to its application, "beamgate.message".
#pragma once

#include <memory>

#include "worker/hook/webhooks.h"
#include "worker/proto/hook_queue.h"

namespace beamgate::proto {

// The body is the client's own bytes: text/plain; charset=utf-8 or application/octet-stream.
hook::Webhooks::CallId call_message(hook::Webhooks& webhooks, const std::shared_ptr<const config::Webhook>& endpoint,
                                    const hook::Subject& subject, const HookQueue::Message& message,
                                    hook::Webhooks::OnReply done);

}  // namespace beamgate::proto
