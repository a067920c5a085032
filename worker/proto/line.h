// Line: TCP clients that speak in lines, such as netcat, in rooms.
//
//   JOIN room      joins it, and leaves the one before; "OK joined room" once every line that is said from then on
//                  reaches the client.  What it sends meanwhile waits.
//   anything else  goes to everyone else in the room; "ERR join a room first" where there is none
//   BYE ...        is the last line before our end
//
// A room is a channel, named by room_prefix and the room.  What clients of other protocols publish there comes as
// lines (line_reader.h).
//
// Owner      One per worker.  A client is its record: its room is its only subscription, whose tag is the room's name.
//            What it may still say in this second is not in the record: it starts anew with another worker.
// Thread     Worker loop thread only.
// Fairness   kLinesPerTurn lines of a client in a loop turn and line_rate in a second: what comes above isn't read.
// Limits     line_max; line_send_queue with line_slow_reader; line_idle_timeout.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/config/model.h"
#include "worker/context.h"
#include "worker/net/phase_handler.h"
#include "worker/proto/bus_wait.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/encoder.h"
#include "worker/proto/plain_orders.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class Line final : public net::PhaseHandler, public Encoder, public PlainOrders {
 public:
  Line(Context& context, ChannelPolicy& policy) : context_(context), policy_(policy), bus_wait_(context) { follow(); }

  void follow();  // The settings in force are others now.
  // Ends every connection, spread evenly over `over_ms`, which begin in `after_ms`; at once where there is no time.
  void drain(int64_t after_ms, int64_t over_ms);

  // Encoder
  void encode(const hub::Publication& publication, std::vector<Encoded>& out) override;
  using Encoder::encode;
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override;
  bool send(record::Record& record, record::Ref frame) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;

  // PlainOrders
  void close(record::Record& record, metrics::Metric why) override;
  void unsubscribe(record::Record& record, std::string_view channel) override;

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_end(record::Record& record) override;
  void on_drained(record::Record& record) override;
  void on_deadline(record::Record& record) override;
  void on_adopted(record::Record& record) override;
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record) override;

 private:
  static constexpr uint32_t kLinesPerTurn = 64;

  // What a client may still say: `rate` lines, which come back within a second.
  struct Bucket {
    int64_t full_at_ms = 0;
  };
  struct Served {
    std::shared_ptr<const config::Config> config;  // Keeps it alive.
    const config::LineServer* server = nullptr;
  };

  const config::LineServer& server_of(const record::Record& record) const;
  bool take_turn(const record::Record& record, uint32_t rate);
  void wait_for_turn(record::Record& record, uint32_t rate);
  bool obey(record::Record& record, std::string_view line);
  void join(record::Record& record, std::string_view room);
  bool publish(record::Record& record, std::string_view line);
  void say(record::Record& record, std::string_view text);
  bool queue(record::Record& record, record::Ref frame);
  void say_bye(record::Record& record, metrics::Metric why, std::string_view text);
  void end(record::Record& record, metrics::Metric why);
  void go(record::Record& record);
  void set_next_deadline(record::Record& record);

  Context& context_;
  ChannelPolicy& policy_;
  BusWait bus_wait_;
  std::unordered_map<uint32_t, Served> servers_;  // By listen; those that a reload took away stay for their clients.
  std::vector<Bucket> buckets_;                   // By slot.
  const config::LineServer fallback_;
  bool draining_ = false;
};

}  // namespace beamgate::proto
