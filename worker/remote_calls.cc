#include "worker/remote_calls.h"

#include <utility>

#include "common/base/assert.h"

namespace beamgate {

void RemoteCalls::serve(hub::Method method, Handler handler) {
  const bool is_first = handlers_.emplace(static_cast<uint16_t>(method), std::move(handler)).second;
  BG_ASSERT(is_first);  // Two methods with one number.
}

bool RemoteCalls::ask_all(hub::Method method, std::string_view body, OnAnswers done) {
  return start({.target = ipc::Target::All, .method = static_cast<uint16_t>(method), .body = body},
               std::move(done));
}

bool RemoteCalls::ask(uint16_t worker, hub::Method method, std::string_view body, OnAnswers done) {
  return start({.target = ipc::Target::Worker,
                .worker = worker,
                .method = static_cast<uint16_t>(method),
                .body = body},
               std::move(done));
}

bool RemoteCalls::ask_heir(hub::Method method, std::string_view body, OnAnswers done) {
  return start({.target = ipc::Target::Heir, .method = static_cast<uint16_t>(method), .body = body},
               std::move(done));
}

bool RemoteCalls::start(ipc::Call call, OnAnswers done) {
  if (waiting_.size() >= kCallsMax) return false;
  call.ticket = next_ticket_++;
  if (!sender_.send_call(call)) return false;
  waiting_.emplace(call.ticket, Waiting{{}, std::move(done), nullptr});
  return true;
}

uint64_t RemoteCalls::expect(int64_t within_ms, OnAnswers done) {
  if (waiting_.size() >= kCallsMax) return 0;
  const uint64_t ticket = next_ticket_++;
  auto end = std::make_unique<uv::Timer>(loop_, [this, ticket] {
    const auto call = waiting_.find(ticket);
    call->second.answers.emplace_back();
    finish(call);
  });
  end->start(within_ms);
  waiting_.emplace(ticket, Waiting{{}, std::move(done), std::move(end)});
  return ticket;
}

void RemoteCalls::on_request(const ipc::Request& message) {
  const auto handler = handlers_.find(message.method);
  const std::string body = handler == handlers_.end() ? std::string() : handler->second(message.body);
  sender_.send_reply({.call = message.call, .body = body});
}

void RemoteCalls::on_call_reply(const ipc::CallReply& message) {
  const auto found = waiting_.find(message.ticket);
  if (found == waiting_.end()) return;
  found->second.answers.push_back({message.worker, message.answered, std::string(message.body)});
  if (message.remaining == 0) finish(found);
}

void RemoteCalls::finish(std::unordered_map<uint64_t, Waiting>::iterator call) {
  Waiting waiting = std::move(call->second);
  waiting_.erase(call);
  waiting.done(std::move(waiting.answers));
}

void RemoteCalls::on_bus_lost() {
  on_recount();
  on_recounted();
}

void RemoteCalls::on_recounted() {
  std::vector<Waiting> lost;
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto call = next++;
    if (call->first < recount_ticket_) lost.push_back(std::move(waiting_.extract(call).mapped()));
  }
  for (Waiting& call : lost) call.done(std::move(call.answers));
}

}  // namespace beamgate
