// Long polls: the fallback of clients that can't have a WebSocket: GET and POST to <endpoint>/longpoll.
//
// GET without a session's token opens one: {"status":410,"token":"...","messages":[]}.  GET with one waits
// kPollMs for messages: status 200, or 204; 500: the session has gone.  POST brings frames: status 200; 410: the
// session has gone.  403: it may not be.  HTTP's own status is 200 in all of these (Phoenix.Transports.LongPoll,
// which answers a GET for a session that has gone with 410 and another one's token).
//
// Owner      Phoenix.
// Thread     Worker loop thread only.
// Workers    A session lives in one; what reaches another one is asked there (LongPollCall).
// Limits     A poll that is held takes its exchange, for kPollMs; client_max_body_size for posts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/uv/timer.h"
#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/hub/remote.h"
#include "worker/proto/action_runner.h"
#include "worker/proto/admission.h"
#include "worker/proto/connection_ops.h"
#include "worker/proto/phoenix/longpoll_sessions.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto::phoenix {

class LongPolls final : private Door {
 public:
  static constexpr int64_t kPollMs = 10'000;

  LongPolls(Context& context, http::Exchanges& exchanges, ws::WebSockets& websockets, ConnectionOps& ops,
            Admission& admission, ActionRunner& runner);
  ~LongPolls() override;
  LongPolls(const LongPolls&) = delete;
  LongPolls& operator=(const LongPolls&) = delete;

  static bool is_meant(const http::Request& request);  // By its path.
  void handle(http::Exchange& exchange);

 private:
  class Waiter;
  using Holder = LongPollSessions::Holder;
  using Mail = LongPollSessions::Mail;

  struct Held {
    http::ExchangeId exchange;
    std::string token;
    int64_t until_ms = 0;
  };

  // Door
  void let_in(http::Exchange& exchange, record::Record& record, SharedActions actions,
              std::vector<http::ResponseField> fields) override;
  void turn_away(http::Exchange& exchange, record::Record& record, uint16_t status,
                 std::string_view content_type, std::string_view body,
                 std::vector<http::ResponseField> fields) override;

  void open(http::Exchange& exchange);
  void opened(http::ExchangeId id, record::Record& record, const SharedActions& actions,
              std::vector<http::ResponseField>&& fields);
  void poll(http::Exchange& exchange, std::string_view token);
  void poll_remote(uint16_t worker, std::string_view token, uint64_t poll);
  void polled(uint64_t poll, uint16_t status);
  void post(http::Exchange& exchange, std::string_view token, std::string_view body);
  uint64_t hold(http::Exchange& exchange, std::string_view token);
  bool answer_held(uint64_t poll, const Mail& mail);
  bool is_abandoned(const Held& held) const;
  void abandon(uint64_t poll);
  void lost(uint64_t poll);
  void deliver(const Holder& holder, const Mail& mail, std::function<void(bool)> done);
  std::string answer(std::string_view body);
  void expire();
  void respond(http::Exchange& exchange, std::string_view body, std::vector<http::ResponseField> fields = {});

  Context& context_;
  http::Exchanges& exchanges_;
  ws::WebSockets& websockets_;
  ConnectionOps& ops_;
  Admission& admission_;
  ActionRunner& runner_;
  const std::shared_ptr<LongPolls*> self_;  // Exchanges may outlive this.
  LongPollSessions sessions_;
  std::unordered_map<uint64_t, Held> held_;  // By number.
  uint64_t next_poll_ = 1;
  uint64_t expiries_ = 0;  // How often expire() has run.
  uv::Timer expiry_timer_;
};

}  // namespace beamgate::proto::phoenix
