// Long poll: channels by one request for each batch of publications.
//
//   request     GET, with a cursor (proto/cursor.h) as argument since or field If-None-Match, or without
//   answer      200 {"cursor":c,"publications":[{"channel","offset","event","data"}, ...],"missed":[channel, ...]}
//               as soon as there is a publication behind the cursor, at most longpoll_publications of them; its ETag is
//               the cursor.  data is JSON as it was published, a string for text, and for binary a string in base64,
//               which "encoding":"base64" says.  event and missed are only there where there are some.
//   missed      channels whose publications behind the cursor are not all known any more, those among them that the
//               cursor, for other channels or no cursor at all, says nothing of; the answer comes at once then, but for a
//               pattern (Hub::is_pattern()), of which that is so each time
//   204         after longpoll_timeout, or when the token ends that has let it in, with the cursor as ETag
//
// Where HTTP/2 carries it, the head has to leave first: the status is always 200, and an empty list stands for 204.
//
// A cursor that an answer brings has a place in every channel of its request.  Until all are joined nothing is answered
// but what was published behind a cursor that has these places as well; anything else waits, as a tag (ChannelReader).
//
// The request leaves HTTP: while it waits, the connection is a plain record that moves and is adopted as any other,
// and it is an HTTP connection again behind the answer.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
// Limits     Cursor::kChannelsMax channels, longpoll_timeout, kPipelinedBytesMax of what a client sends meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/http_date.h"
#include "worker/proto/channel_reader.h"

namespace beamgate::proto {

class LongPoll final : public ChannelReader {
 public:
  LongPoll(Context& context, ChannelPolicy& policy, ChannelDoor& door);

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
  static constexpr size_t kPipelinedBytesMax = 16 << 10;

  // The publication that encode() was given last.
  struct Current {
    std::string channel;
    std::string epoch;
    uint64_t offset = 0;
  };

  // ChannelReader
  const config::ChannelReaderAction& action_of(const config::Location& location) const override {
    return location.long_poll;
  }
  void begin(http::Exchange& exchange, const Guest& guest) override;
  void end(record::Record& record, metrics::Metric why) override;

  const config::LongPollAction& action_of(const record::Record& record) const;
  void end_with_token(record::Record& record, int64_t expires_s);
  bool note_missed(record::Record& record, const Reached& place);
  std::vector<std::string_view> missed_by(const record::Record& record) const;
  bool is_standing(const record::Record& record, std::string_view channel) const;
  void put_off(record::Record& record);
  void answer_if_due(record::Record& record);
  void answer(record::Record& record, const ipc::ChannelState& state);
  // `publications`: JSON of each, with commas between them.
  void answer(record::Record& record, std::string_view cursor, std::string_view publications);
  void answer_nothing(record::Record& record);
  void respond(record::Record& record, uint16_t status, std::string_view cursor, std::string_view body);
  void postpone(record::Record& record, std::string_view cursor, std::string_view body);
  void give_back(record::Record& record, bool keep_alive);

  http::HttpDate date_;
  Current current_;
  bool beginning_ = false;  // join() is under way: there may be channels that it hasn't come to.
  const config::LongPollAction fallback_;  // For a location that no configuration knows any more.
};

}  // namespace beamgate::proto
