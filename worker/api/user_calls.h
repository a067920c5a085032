// User calls: who is there on the whole node, and how it came to that, for an application that keeps sessions.
//
//   users         {after?, limit?}        {users: [{user, connections, since}], more, cursor}: who is online, in the order of
//                                         names; `after` is the last name of the page before
//   user_changes  {since, limit?}         {changes: [...], more, cursor, known}: as webhooks tell of them, behind that cursor;
//                                         known false: some of them are forgotten, and only `users` can tell
// An application that was away reads user_changes from the last cursor that it has stored, and when that is not known any
// more all pages of users; the cursor of the first page is where to go on from.
// Owner      ApiHandler; one per worker.
// Thread     Worker loop thread only.
// Limits     kListMax in one answer.
#pragma once

#include "common/json/value.h"
#include "worker/api/reply.h"
#include "worker/context.h"

namespace beamgate::api {

class UserCalls {
 public:
  static constexpr uint32_t kListMax = 10'000;
  static constexpr uint32_t kListDefault = 1'000;

  explicit UserCalls(Context& context) : context_(context) {}

  void users(const json::Value& params, Done done);
  void changes(const json::Value& params, Done done);

 private:
  Context& context_;
};

}  // namespace beamgate::api
