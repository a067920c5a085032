#include "worker/remote_calls.h"

#include <utility>

namespace beamgate {

void RemoteCalls::serve(hub::Method method, Handler handler) {
  handlers_[static_cast<uint16_t>(method)] = std::move(handler);
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

bool RemoteCalls::start(ipc::Call call, OnAnswers done) {
  if (waiting_.size() >= kCallsMax) return false;
  call.ticket = next_ticket_++;
  if (!sender_.send_call(call)) return false;
  waiting_.emplace(call.ticket, Waiting{{}, std::move(done)});
  return true;
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
  if (message.remaining > 0) return;
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  waiting.done(std::move(waiting.answers));
}

void RemoteCalls::on_bus_lost() {
  on_recount();
  on_recounted();
}

void RemoteCalls::on_recounted() {
  std::vector<Waiting> lost;
  std::erase_if(waiting_, [&](auto& entry) {
    if (entry.first >= recount_ticket_) return false;
    lost.push_back(std::move(entry.second));
    return true;
  });
  for (Waiting& call : lost) call.done(std::move(call.answers));
}

}  // namespace beamgate
