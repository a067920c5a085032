#include "worker/proto/channel_reader.h"

#include <algorithm>

#include "worker/http/cross_origin.h"
#include "worker/net/connections.h"
#include "worker/net/spread_deadlines.h"
#include "worker/record/text_block.h"

namespace beamgate::proto {

using metrics::Metric;
using record::Record;

namespace {

std::optional<Reached> place_of_tag(std::string_view tag) {
  if (tag.starts_with(ChannelReader::kMissed)) tag.remove_prefix(1);
  return parse_place(tag);
}

}  // namespace

// --- Requests.

void ChannelReader::handle(http::Exchange& exchange) {
  const config::ChannelReaderAction& action = action_of(*exchange.request().location);
  if (refuse(exchange, action.cross_origin)) return;
  door_.open(exchange, action, [this](http::Exchange& open, const Guest& guest) { let_in(open, guest); });
}

// True: the request is of a page or a method that may not, and has been answered.
bool ChannelReader::refuse(http::Exchange& exchange, const config::CrossOrigin& cross_origin) const {
  const http::Request& request = exchange.request();
  if (!http::origin_allowed(request, cross_origin.origins)) {
    context_.metrics.add(Metric::RequestsRefusedOrigin);
    exchange.respond(403, "text/plain", "This Origin is not allowed.\n", {{"Vary", "Origin"}});
    return true;
  }
  if (http::answer_preflight(exchange, cross_origin, kind_.allowed_fields)) return true;
  if (request.method == "GET" || (request.method == "HEAD" && kind_.takes_head)) return false;
  exchange.respond(405, "text/plain", "Only GET is allowed here.\n",
                   {{"Allow", kind_.takes_head ? "GET, HEAD, OPTIONS" : "GET, OPTIONS"}});
  return true;
}

// The application may have taken its time.
void ChannelReader::let_in(http::Exchange& exchange, const Guest& guest) {
  if (!draining_) return begin(exchange, guest);
  context_.metrics.add(Metric::RequestsRefusedDraining);
  exchange.respond(503, "text/plain", "Shutting down.\n", {{"Retry-After", "1"}});
}

void ChannelReader::remember_user(Record& record, const Guest& guest) {
  // Without memory it is nobody in particular.
  static_cast<void>(context_.connections.set_user(record, guest.user));
}

void ChannelReader::join(Record& record, const Guest& guest, const std::optional<Cursor>& cursor,
                         std::string_view strange) {
  const record::ConnId id = context_.connections.id_of(record);
  for (const std::string& channel : guest.channels) {
    // It may have ended, or have been answered and be an HTTP connection again.
    if (context_.connections.find(id) == nullptr || record.phase != kind_.phase) return;
    const auto place = cursor ? cursor->of(channel) : std::nullopt;
    const std::string tag = place ? write_place(place->epoch, place->offset) : std::string(strange);
    hub::JoinOptions options{.tag = tag};
    if (place) {
      options.wants = ipc::kStateRecover;
      options.epoch = place->epoch;
      options.after = place->offset;
      options.publications_max = ipc::kStateListMax;
    }
    std::string user;
    prepare(record, channel, user, options);
    if (!context_.hub.join(record, channel, options).ok()) return end(record, Metric::ClosesMemory);
  }
}

std::string ChannelReader::cursor_of(const Record& record, const Reached& latest) const {
  if (record.subscription_count <= 1 && !latest.channel.empty()) return write_place(latest.epoch, latest.offset);
  std::vector<Reached> places;
  for (const hub::Hub::Position& position : context_.hub.positions_of(record)) {
    if (position.channel == latest.channel) {
      if (!latest.epoch.empty()) places.push_back(latest);  // A pattern's publications have none.
    } else if (const auto left = place_of_tag(context_.hub.tag_of(record, position.channel))) {
      places.push_back({position.channel, left->epoch, left->offset});
    } else if (!context_.hub.is_joining(record, position.channel)) {
      places.push_back({position.channel, position.epoch, position.offset});
    }
  }
  return write_cursor(places);
}

bool ChannelReader::all_joined(const Record& record) const {
  const auto channels = context_.hub.channels_of(record);
  return std::none_of(channels.begin(), channels.end(),
                      [&](std::string_view channel) { return context_.hub.is_joining(record, channel); });
}

// --- What Connections tells.

// The end of a request is the usual half of a stream of HTTP/2; a socket's end is the client's.
void ChannelReader::on_end(Record& record) {
  if (record.transport != record::Transport::Stream) context_.connections.close_gracefully(record);
}

void ChannelReader::on_given(Record&) { context_.metrics.subtract(kind_.active); }

void ChannelReader::on_gone(Record& record) {
  context_.metrics.subtract(kind_.active);
  context_.hub.unsubscribe_all(record);
}

void ChannelReader::drain(int64_t after_ms, int64_t over_ms) {
  draining_ = true;
  const auto is_ours = [this](const Record& record) { return record.phase == kind_.phase; };
  net::spread_deadlines(context_.connections, is_ours, after_ms, over_ms);
}

}  // namespace beamgate::proto
