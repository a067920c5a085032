// ReceiptedReply: puts together the reply to one publication and what the workers say became of it.
//
// Lifetime   Shared by the two that are waited for, which come in either order; done runs once, after both, or at once
//            when nothing was published.
#pragma once

#include <optional>
#include <vector>

#include "common/json/value.h"
#include "worker/api/reply.h"
#include "worker/hub/remote.h"

namespace beamgate::api {

class ReceiptedReply {
 public:
  // acknowledges: clients were asked whether they have read it.
  ReceiptedReply(bool acknowledges, Done done) : acknowledges_(acknowledges), done_(std::move(done)) {}

  void put_reply(Reply&& reply);
  void put_answers(const std::vector<hub::Answer>& answers);  // Bodies: ipc::Receipt.

 private:
  void finish();

  const bool acknowledges_;
  Done done_;
  std::optional<Reply> reply_;
  std::optional<json::Value> receipt_;
};

}  // namespace beamgate::api
