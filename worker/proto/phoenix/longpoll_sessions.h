// Long-poll sessions: the polling clients of this worker: connections without a socket, and what waits for
// their polls.
//
//   Asked    -- let in, open() -----------------------------> Open
//   Asked    -- refused, or the client has gone ------------> gone
//   Open     -- the gateway or the application closes it, or
//               no poll for kSilenceMs, or for kLostMs once
//               the client of a held one has gone ---------> Ended, once its link is gone
//   Ended    -- the last messages are fetched, or nobody
//               comes for them ----------------------------> gone
//
// Owner      LongPolls.
// Thread     Worker loop thread only.
// Limits     A session takes a connection of worker_connections.  kInputBytesMax unread bytes of posts.
// State      In the heap, like a TLS session: it dies with its worker, and its client opens another one.
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
#include "worker/proto/phoenix/longpoll_link.h"
#include "worker/record/record.h"

namespace beamgate::proto::phoenix {

class LongPollSessions final : private LongPollLink::Listener {
 public:
  static constexpr int64_t kSilenceMs = 25'000;  // A poll of 10 s, and what a client may take between two.
  static constexpr int64_t kLostMs = 5'000;
  static constexpr int64_t kAskedMs = 60'000;
  static constexpr size_t kInputBytesMax = size_t{1} << 20;

  // Who holds the poll that a session may answer.
  static constexpr size_t kHoldersMax = 4;  // Polls of one session; those before are not answered but by their end.

  struct Holder {
    uint16_t worker = 0;
    uint64_t poll = 0;
    bool operator==(const Holder&) const = default;
  };
  struct Mail {
    uint16_t status = 204;
    std::vector<std::string> messages;
  };
  // Brings mail to the holder of a poll; done says whether it was still there.
  using Deliver = std::function<void(const Holder&, const Mail&, std::function<void(bool)> done)>;

  LongPollSessions(Context& context, Deliver deliver);
  ~LongPollSessions() override;
  LongPollSessions(const LongPollSessions&) = delete;
  LongPollSessions& operator=(const LongPollSessions&) = delete;

  // A connection for a client that asks by way of `carrier`.  Null: there is no room.
  record::Record* create(const record::Record& carrier);
  // It was let in, and is in phase WebSocket.  Its token.
  std::string open(const record::Record& record);

  // The holder is brought what there is, now or when there is something.  False: no such session.
  bool poll(std::string_view token, const Holder& holder);
  // The client of a held poll has gone.
  void lost(std::string_view token, const Holder& holder);
  // 200; 400: no frames; 410; 503: those before were not read yet.
  uint16_t post(std::string_view token, std::string_view body);

 private:
  struct Session {
    record::ConnId id;
    std::string token;  // Empty: not open yet.
    std::shared_ptr<Mailbox> mailbox;
    int64_t seen_ms = 0;
    // Polls that wait, the latest last.  A request that its client has given up may come behind the one that it has
    // sent since: when the latest can't be answered, the one before it is.
    std::vector<Holder> holders;
    bool delivering = false;  // Mail is on its way to a holder.
  };

  void on_mail(uint64_t uid) override;
  Session* find(std::string_view token);
  Mail take(Session& session);
  void put_back(uint64_t uid, Mail&& mail);
  void bring(uint64_t uid);
  void on_news();
  void sweep();

  Context& context_;
  const Deliver deliver_;
  const std::shared_ptr<LongPollLink::Listener*> self_;
  std::unordered_map<uint64_t, Session> sessions_;  // By uid.
  std::vector<uint64_t> news_;
  uv::Timer news_timer_;
  uv::Timer sweep_timer_;
};

}  // namespace beamgate::proto::phoenix
