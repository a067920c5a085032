#include "worker/proto/message_call.h"

#include "worker/hook/grip_session.h"
#include "worker/proto/subjects.h"

namespace beamgate::proto {

hook::Webhooks::CallId call_message(hook::Webhooks& webhooks, const std::shared_ptr<const config::Webhook>& endpoint,
                                    const hook::Subject& subject, const HookQueue::Message& message,
                                    hook::Webhooks::OnReply done) {
  const std::string id = message_id(subject.uid, message.sequence);
  hook::Call call;
  call.endpoint = endpoint;
  call.type = endpoint->grip && message.sequence == 0 ? hook::kGripKeepalive : "beamgate.message";
  call.subject = subject;
  call.id = id;
  call.content_type = message.binary ? "application/octet-stream" : "text/plain; charset=utf-8";
  call.body = message.bytes;
  call.refusals = hook::Refusals::Denials;
  return webhooks.call(call, std::move(done));
}

}  // namespace beamgate::proto
