// Remote calls: hub::Remote over the bus: which calls wait for which answers.
//
// Owner      Worker.
// Thread     Worker loop thread only.
// Limits     kCallsMax calls in flight.  The master answers for workers that end, so a call ends; when the
//            bus or the master is lost every call ends with the answers it has.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "common/crypto/crypto.h"
#include "common/ipc/messages.h"
#include "common/uv/timer.h"
#include "worker/hub/remote.h"

namespace beamgate {

class RemoteCalls final : public hub::Remote {
 public:
  static constexpr size_t kCallsMax = 4096;

  class Sender {
   public:
    virtual ~Sender() = default;
    [[nodiscard]] virtual bool send_call(const ipc::Call& message) = 0;
    virtual void send_reply(const ipc::Reply& message) = 0;
  };

  RemoteCalls(uv::Loop& loop, Sender& sender)
      : loop_(loop), sender_(sender), next_ticket_(crypto::random_u64() >> 8 | 1) {}

  // hub::Remote
  void serve(hub::Method method, Handler handler) override;
  bool ask_all(hub::Method method, std::string_view body, OnAnswers done) override;
  bool ask(uint16_t worker, hub::Method method, std::string_view body, OnAnswers done) override;
  bool ask_heir(hub::Method method, std::string_view body, OnAnswers done) override;
  uint64_t expect(int64_t within_ms, OnAnswers done) override;
  void forget(uint64_t ticket) override { waiting_.erase(ticket); }

  // From the bus.
  void on_request(const ipc::Request& message);
  void on_call_reply(const ipc::CallReply& message);
  void on_bus_lost();
  void on_recount() { recount_ticket_ = next_ticket_; }
  void on_recounted();  // Ends the calls that a dead master has taken with it.

 private:
  struct Waiting {
    std::vector<hub::Answer> answers;
    OnAnswers done;
    std::unique_ptr<uv::Timer> end;  // Null: the master ends it.
  };

  bool start(ipc::Call call, OnAnswers done);
  void finish(std::unordered_map<uint64_t, Waiting>::iterator call);

  uv::Loop& loop_;
  Sender& sender_;
  std::unordered_map<uint16_t, Handler> handlers_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  uint64_t recount_ticket_ = 0;  // The first one after the last Recount.
  uint64_t next_ticket_;  // Begins anywhere: answers to a predecessor's calls must find nobody.
};

}  // namespace beamgate
