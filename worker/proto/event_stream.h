// Event stream: channels as text/event-stream, for EventSource and whatever reads lines over HTTP.
//
//   request        ChannelReader's; the response's head is sent and the connection leaves HTTP (http::Exchange::leave)
//   EventStream    each channel is joined, from where the client's Last-Event-ID says; once all are, the client is told
//                  where it is (an id without an event).  Then each publication is an event whose id names the
//                  places in all of its channels (proto/cursor.h).
//   gap            what can't be recovered is said by the event beamgate.reset, with "reason": "cursor" (the id means
//                  nothing here), "history" (of one channel: it doesn't reach back so far), "slow" (sse_slow_reader
//                  drop_oldest).  A stream that has missed something by our fault ends: its client comes back, and
//                  recovers or is told.
//   token          a stream that was let in by one ends when that does (Record::handshake: the Unix time of it)
//
// Owner      One per worker.  What a stream is, is in its record: subscriptions, and as tag of one that isn't joined yet
//            the place that the client has named.  It moves and is adopted as any connection is.
// Thread     Worker loop thread only.
// Limits     Cursor::kChannelsMax channels; sse_send_queue with sse_slow_reader, but for what is recovered at once,
//            of which kStateBytesMax.
// Source     HTML standard, section 9.2 "Server-sent events".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/proto/channel_reader.h"

namespace beamgate::proto {

class EventStream final : public ChannelReader {
 public:
  EventStream(Context& context, ChannelPolicy& policy, ChannelDoor& door);
  ~EventStream() override;

  // Encoder
  void encode(const hub::Publication& publication, std::vector<Encoded>& out) override;
  using Encoder::encode;
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override;
  bool send(record::Record& record, record::Ref frame) override;
  void on_joined(record::Record& record, std::string_view tag, const ipc::ChannelState& state) override;

  // net::PhaseHandler
  void on_enter(record::Record& record) override;
  size_t on_bytes(record::Record& record, std::span<const char> bytes) override;
  void on_deadline(record::Record& record) override;
  void on_adopted(record::Record& record) override;

 private:
  // The event that encode() has made last; what its readers with several channels get is made of it.
  struct Current {
    std::string channel;
    std::string epoch;
    uint64_t offset = 0;
    size_t body_bytes = 0;  // Without its id.
    std::string id;         // Of the frame below.
    record::Ref frame = record::kNull;
  };

  // ChannelReader
  const config::ChannelReaderAction& action_of(const config::Location& location) const override {
    return location.event_stream;
  }
  void begin(http::Exchange& exchange, const Guest& guest) override;
  void prepare(record::Record& record, std::string_view channel, std::string& user, hub::JoinOptions& options) override;
  void end(record::Record& record, metrics::Metric why) override;

  void go(record::Record& record);
  const config::EventStreamAction& action_of(const record::Record& record) const;
  int64_t expires_ms(const record::Record& record) const;
  void send_id(record::Record& record, const Reached& latest);
  void send_text(record::Record& record, std::string_view text);
  void send_reset(record::Record& record, std::string_view reason, std::string_view channel);
  bool queue(record::Record& record, record::Ref frame);
  void set_next_deadline(record::Record& record);
  void forget_current();

  Current current_;
  const config::EventStreamAction fallback_;  // For a location that no configuration knows any more.
};

}  // namespace beamgate::proto
