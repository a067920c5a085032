// Application reply: what a webhook's reply is to a client of the Phoenix protocol.
//
// The body is the response of the phx_reply: JSON as it is, any other text as a JSON string, nothing as {};
// behind a refusal it is {"reason":"..."} where it is no JSON.  A document (application/vnd.beamgate+json)
// says it with its first "send"; what else it sends are pushes of the event "message" in the topic, behind the reply.
// "unsubscribe" closes topics, "subscribe" can't be: a channel that the client hasn't joined is none to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/hook/webhooks.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/phoenix/message.h"
#include "worker/proto/phoenix/tag.h"

namespace beamgate::proto::phoenix {

struct Response {
  bool binary = false;
  std::string bytes;
};

Response response_of(const hook::Actions& actions);
// What else it sends, in the message's topic.
std::vector<Push> pushes_of(const Message& message, const hook::Actions& actions);
std::string refusal_of(const hook::Reply& reply);  // JSON

// What ActionRunner is to do: all but what is done in topics.
SharedActions without_topics(const hook::Actions& actions);

}  // namespace beamgate::proto::phoenix
