#include "worker/api/pusher/event_calls.h"

#include "common/config/app_channels.h"
#include "worker/hub/hub.h"
#include "worker/proto/pusher/channel_name.h"
#include "worker/proto/pusher/frames.h"
#include "worker/proto/pusher/socket_id.h"

namespace beamgate::api::pusher {
namespace {

EventRequest refuse(uint16_t status, std::string_view why) { return {{}, Answer::failed(status, why)}; }

EventData read_data(const json::Value& data) {
  const auto text = data.as_string();
  if (!text) return {data.dump(), ipc::PayloadKind::Json};
  return {std::string(*text), json::parse(*text) ? ipc::PayloadKind::Json : ipc::PayloadKind::Text};
}

// Name, data, socket_id and info of one event; the channel is somebody else's matter.
const char* read_event(const json::Value& body, uint64_t data_bytes_max, Event& event, uint16_t& status) {
  const auto name = body.get_string("name");
  status = 400;
  if (!name || name->empty()) return "An event needs a name.";
  if (name->size() > kEventNameBytesMax) return "The name of an event is too long.";
  if (beamgate::pusher::is_reserved_event(*name)) return "Events named pusher: are the server's own.";
  const json::Value* data = body.find("data");
  if (data == nullptr) return "An event needs data.";
  event.name = *name;
  event.data = std::make_shared<const EventData>(read_data(*data));
  if (const json::Value* socket = body.find("socket_id"); socket != nullptr && !socket->is_null()) {
    const auto uid = beamgate::pusher::parse_socket_id(socket->as_string().value_or(""));
    if (!uid) return "socket_id is none.";
    event.except = *uid;
  }
  event.info = parse_info(body.get_string("info").value_or(""));
  status = 413;
  return event.data->bytes.size() > data_bytes_max ? "The data of an event is too big." : nullptr;
}

bool is_channel(const json::Value& name) {
  const auto text = name.as_string();
  return text && beamgate::pusher::parse_channel(*text, beamgate::pusher::kServerNameBytesMax).has_value();
}

}  // namespace

EventRequest parse_event_request(std::string_view body, uint64_t data_bytes_max) {
  const auto parsed = json::parse(body);
  if (!parsed || !parsed.value().is_object()) return refuse(400, "The body is no JSON object.");
  Event event;
  uint16_t status = 400;
  if (const char* why = read_event(parsed.value(), data_bytes_max, event, status)) return refuse(status, why);
  json::Value::Array channels;
  if (const json::Value::Array* several = parsed.value().get_array("channels")) channels = *several;
  if (const json::Value* one = parsed.value().find("channel")) channels.push_back(*one);
  if (channels.empty()) return refuse(400, "An event needs channels.");
  if (channels.size() > kChannelsMax) return refuse(400, "An event is for 100 channels at most.");
  EventRequest request;
  for (const json::Value& channel : channels) {
    if (!is_channel(channel)) return refuse(400, "One of the channels has a name that is none.");
    event.channel = *channel.as_string();
    request.events.push_back(event);
  }
  return request;
}

EventRequest parse_batch_request(std::string_view body, uint64_t data_bytes_max) {
  const auto parsed = json::parse(body);
  const json::Value::Array* batch = parsed ? parsed.value().get_array("batch") : nullptr;
  if (batch == nullptr) return refuse(400, "The body is no JSON object with a batch.");
  if (batch->size() > kBatchMax) return refuse(400, "A batch has 10 events at most.");
  EventRequest request;
  for (const json::Value& each : *batch) {
    Event event;
    uint16_t status = 400;
    if (const char* why = read_event(each, data_bytes_max, event, status)) return refuse(status, why);
    const json::Value* channel = each.find("channel");
    if (channel == nullptr || !is_channel(*channel)) return refuse(400, "An event of a batch needs a channel.");
    event.channel = *channel->as_string();
    request.events.push_back(std::move(event));
  }
  return request;
}

// One request under way, shared by the receipts and answers that are still to come.
struct EventCalls::Run {
  std::vector<Event> events;
  std::vector<std::string> channels;  // Of each event, on the node.
  std::vector<json::Value> attributes;
  bool batch = false;
  bool failed = false;
  size_t missing = 0;
  Done done;
};

void EventCalls::run(const config::App& app, std::vector<Event>&& events, bool batch, Done done) {
  if (events.empty()) return done(Answer{});
  auto run = std::make_shared<Run>();
  run->events = std::move(events);
  for (const Event& event : run->events) run->channels.push_back(config::channel_on_node(app, event.channel));
  run->attributes.resize(run->events.size(), json::Value::object());
  run->batch = batch;
  run->done = std::move(done);
  publish(run);
}

void EventCalls::publish(const std::shared_ptr<Run>& run) {
  const auto settle = [this, run](size_t settled, bool accepted) {
    if (!accepted) run->failed = true;
    run->missing -= settled;
    if (run->missing > 0) return;
    if (run->failed) return run->done(Answer::busy());
    describe(run);
  };
  run->missing = run->events.size();
  for (size_t i = 0; i < run->events.size(); ++i) {
    const Event& event = run->events[i];
    hub::PublishOptions options;
    options.kind = event.data->kind;
    options.except = event.except;
    options.origin.event = event.name;
    const auto on_receipt = [settle](const hub::PublishReceipt& receipt) { settle(1, receipt.accepted); };
    const bool sent = context_.hub.publish(run->channels[i], event.data->bytes, options, on_receipt);
    if (!sent) return settle(run->events.size() - i, false);  // What comes after it would be out of order.
  }
}

void EventCalls::describe(const std::shared_ptr<Run>& run) {
  run->missing = 1;
  for (size_t i = 0; i < run->events.size(); ++i) {
    const Event& event = run->events[i];
    if (!event.info.any()) continue;
    ++run->missing;
    channels_.attributes(run->channels[i], event.info, false, [run, i](json::Value&& attributes) {
      if (!attributes.is_null()) run->attributes[i] = std::move(attributes);
      if (--run->missing == 0) finish(*run);
    });
  }
  if (--run->missing == 0) finish(*run);
}

void EventCalls::finish(Run& run) {
  bool asked = false;
  for (const Event& event : run.events) asked = asked || event.info.any();
  if (!asked) return run.done(Answer{});
  if (run.batch) return run.done(Answer::of(json::Value().set("batch", json::Value(std::move(run.attributes)))));
  json::Value channels = json::Value::object();
  for (size_t i = 0; i < run.events.size(); ++i) channels.set(run.events[i].channel, std::move(run.attributes[i]));
  run.done(Answer::of(json::Value().set("channels", std::move(channels))));
}

}  // namespace beamgate::api::pusher
