// Channel reader: what event streams and long-polling have in common: a GET that follows channels, from where its client
// has left off.
//
//   request   pages of other origins and methods but GET are dealt with; the ChannelDoor lets in
//   begin()   leaves HTTP; then each channel is joined, from where the client's cursor says (proto/cursor.h), which is the
//             subscription's tag until then
//   tag       of a subscription: empty, its client is where the channel is; a place, its client is there; kMissed and a
//             place, as far as it is known, its client is there and may have missed something
//   record    a plain one, with phase and protocol of its kind: it moves and is adopted as any other
//
// Owner      The kind itself, of which there is one per worker.
// Thread     Worker loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/context.h"
#include "worker/http/exchange.h"
#include "worker/net/phase_handler.h"
#include "worker/proto/channel_door.h"
#include "worker/proto/channel_policy.h"
#include "worker/proto/cursor.h"
#include "worker/proto/encoder.h"
#include "worker/proto/plain_orders.h"
#include "worker/record/record.h"

namespace beamgate::proto {

class ChannelReader : public net::PhaseHandler, public http::Handler, public Encoder, public PlainOrders {
 public:
  static constexpr char kMissed = '?';  // No place begins with it.

  // Ends every request of the kind, spread evenly over `over_ms`, which begin in `after_ms`; no new one is begun.
  void drain(int64_t after_ms, int64_t over_ms);

  // PlainOrders: both end the request, and its client may ask again.
  void close(record::Record& record, metrics::Metric why) final { end(record, why); }
  void unsubscribe(record::Record& record, std::string_view) final { end(record, metrics::Metric::ClosesApi); }

  // http::Handler
  void handle(http::Exchange& exchange) final;

  // net::PhaseHandler
  void on_end(record::Record& record) override;
  void on_drained(record::Record&) override {}
  void on_given(record::Record& record) override;
  void on_gone(record::Record& record) override;

 protected:
  struct Kind {
    record::Phase phase;
    metrics::Metric active;           // How many there are.
    bool takes_head;                  // HEAD is answered as well.
    std::string_view allowed_fields;  // Of requests of other origins' pages.
  };

  ChannelReader(Context& context, ChannelPolicy& policy, ChannelDoor& door, const Kind& kind)
      : context_(context), policy_(policy), door_(door), kind_(kind) {}

  virtual const config::ChannelReaderAction& action_of(const config::Location& location) const = 0;
  virtual void begin(http::Exchange& exchange, const Guest& guest) = 0;
  // The kind's part of a subscription that is about to begin.
  virtual void prepare(record::Record&, std::string_view, std::string&, hub::JoinOptions&) {}
  // There is no way to go on.  why: what it is counted as.
  virtual void end(record::Record& record, metrics::Metric why) = 0;

  // Goes on until the record isn't of this kind any more.  strange: tag of a channel that no cursor has a place of.
  void join(record::Record& record, const Guest& guest, const std::optional<Cursor>& cursor,
            std::string_view strange = {});
  // The places of all channels, one of which has got as far as `latest`; of one whose tag has a place, that.
  std::string cursor_of(const record::Record& record, const Reached& latest = {}) const;
  bool all_joined(const record::Record& record) const;
  void remember_user(record::Record& record, const Guest& guest);

  Context& context_;
  ChannelPolicy& policy_;
  bool draining_ = false;

 private:
  bool refuse(http::Exchange& exchange, const config::CrossOrigin& cross_origin) const;
  void let_in(http::Exchange& exchange, const Guest& guest);

  ChannelDoor& door_;
  const Kind kind_;
};

}  // namespace beamgate::proto
