#include "worker/api/receipted_reply.h"

#include <utility>

#include "common/ipc/messages.h"
#include "common/ipc/wire.h"

namespace beamgate::api {

void ReceiptedReply::put_reply(Reply&& reply) {
  reply_ = std::move(reply);
  finish();
}

void ReceiptedReply::put_answers(const std::vector<hub::Answer>& answers) {
  ipc::Receipt all;
  bool complete = true;
  for (const hub::Answer& answer : answers) {
    ipc::Receipt one;
    if (!answer.answered || !ipc::decode(answer.body, one)) {
      complete = false;
      continue;
    }
    all.subscribers += one.subscribers;
    all.sent += one.sent;
    all.dropped += one.dropped;
    all.acknowledged += one.acknowledged;
  }
  receipt_ = json::Value::object();
  receipt_->set("subscribers", all.subscribers).set("sent", all.sent).set("dropped", all.dropped);
  if (acknowledges_) receipt_->set("acknowledged", all.acknowledged);
  receipt_->set("complete", complete);
  finish();
}

void ReceiptedReply::finish() {
  if (!done_ || !reply_ || (reply_->ok() && !receipt_)) return;
  if (reply_->ok()) reply_->result.set("receipt", std::move(*receipt_));
  std::exchange(done_, {})(std::move(*reply_));
}

}  // namespace beamgate::api
