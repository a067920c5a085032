// Receipts: what becomes of the publications whose publishers want to know.
//
// Behind such a publication, in one piece with it, WebSockets are sent a Ping: the Pong says that the client has read
// what was before it, whatever its protocol.  A Pong may leave out Pings before the one it answers (RFC 6455 section
// 5.5.3), so it acknowledges those as well.
//
// Owner      Delivery; one per worker.
// Thread     Worker loop thread only.
// Limits     kWaitingMax receipts that wait; those above it are answered at once, with nothing acknowledged.
// Errors     A connection that closes or moves to another worker before its Pong comes has not acknowledged.  What a
//            worker waits for dies with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "common/ipc/messages.h"
#include "common/uv/timer.h"
#include "worker/ws/pong_watch.h"

namespace beamgate::proto {

class Receipts final : public ws::PongWatch {
 public:
  static constexpr size_t kWaitingMax = 256;

  // Sends the receipt that the call of the bus asks for; an empty one where there is nobody to tell of.
  using Answer = std::function<void(uint64_t call, const ipc::Receipt& receipt)>;

  Receipts(uv::Loop& loop, Answer answer);

  // Everything that is noted between them is of one publication.
  void begin(uint64_t call, uint32_t acknowledge_ms);
  void end();
  bool is_open() const { return open_ != nullptr; }

  // Payload of the Ping behind the publication; empty: none is wanted.  REQUIRES: is_open().
  std::string_view ping() const { return open_->ping; }
  void note_sent(record::ConnId connection, bool pinged);  // REQUIRES: is_open().
  void note_dropped();

  // ws::PongWatch
  void on_pong(record::ConnId connection, std::string_view payload) override;
  void on_gone(record::ConnId connection) override;

 private:
  struct Entry {
    uint64_t call = 0;
    uint32_t acknowledge_ms = 0;
    std::string ping;
    ipc::Receipt receipt;
    std::unordered_set<uint64_t> asked;  // Connections whose Pong is waited for.
    std::unique_ptr<uv::Timer> timeout;
  };
  using Waiting = std::map<uint64_t, Entry>;  // By the number in their Pings.

  void settle(Waiting::iterator entry);

  uv::Loop& loop_;
  const Answer answer_;
  std::unique_ptr<Entry> open_;
  Waiting waiting_;
  const uint64_t first_number_;  // Anywhere: Pongs to another worker's Pings must mean nothing here.
  uint64_t next_number_;
};

}  // namespace beamgate::proto
