#include "worker/proto/phoenix/application_reply.h"

#include "common/json/value.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/proto/phoenix/payload.h"

namespace beamgate::proto::phoenix {

Response response_of(const hook::Actions& actions) {
  if (actions.send.empty() || actions.send.front().bytes.empty()) return {false, "{}"};
  const hook::Message& first = actions.send.front();
  if (first.binary) return {true, first.bytes};
  return {false, json_of(ipc::PayloadKind::Text, first.bytes)};
}

std::vector<Push> pushes_of(const Message& message, const hook::Actions& actions) {
  std::vector<Push> pushes;
  for (size_t i = 1; i < actions.send.size(); ++i) {
    const hook::Message& sent = actions.send[i];
    if (sent.binary) {
      pushes.push_back({true, binary_push(message.join_ref, message.topic, kDefaultEvent, sent.bytes)});
    } else {
      pushes.push_back({false, text_frame(message.join_ref, kNoRef, message.topic, kDefaultEvent,
                                          json_of(ipc::PayloadKind::Text, sent.bytes))});
    }
  }
  return pushes;
}

std::string refusal_of(const hook::Reply& reply) {
  if (reply.outcome != hook::Outcome::Answered || reply.status >= 500) return reason_json("unavailable");
  if (json::parse(reply.body).ok()) return reply.body;
  std::string_view text = reply.body;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  const bool unauthorized = reply.status == 401 || reply.status == 403;
  return reason_json(!text.empty() ? text : unauthorized ? "unauthorized" : "refused");
}

SharedActions without_topics(const hook::Actions& actions) {
  auto rest = std::make_shared<hook::Actions>(actions);
  rest->send.clear();
  rest->subscribe.clear();
  rest->unsubscribe.clear();
  return rest;
}

}  // namespace beamgate::proto::phoenix
