#include "worker/api/publishing.h"

#include <memory>
#include <vector>

#include "common/crypto/crypto.h"
#include "worker/api/arguments.h"
#include "worker/api/receipted_reply.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

constexpr const char* kNoKey = "idempotency_key is not a string";
constexpr int64_t kReceiptWithinMs = 2'000;  // Beyond what clients have: then a worker must have died.

// False: whoever sends it believes in a protection that is none.
bool read_idempotency_key(const json::Value& params, std::string_view header_key, std::string_view& key) {
  if (!read_text(params, "idempotency_key", key)) return false;
  if (key.empty()) key = header_key;
  return true;
}

const char* read_event(const json::Value& params, std::string& event) {
  const json::Value* tags = params.find("tags");
  if (tags != nullptr && !tags->is_object() && !tags->is_null()) return "tags is not an object";
  std::string_view text;
  const json::Value& holder = !params.has("event") && tags != nullptr ? *tags : params;
  if (!read_text(holder, "event", text)) return "event is not a string";
  event = text;
  return nullptr;
}

bool read_options(const json::Value& params, Payload& payload, const char*& problem) {
  problem = read_event(params, payload.event);
  if (!read_flag(params, "skip_history", payload.skips_history)) problem = "skip_history is not true or false";
  if (!read_flag(params, "receipt", payload.wants_receipt)) problem = "receipt is not true or false";
  if (problem != nullptr) return false;
  if (const json::Value* except = params.find("except"); except != nullptr && !except->is_null()) {
    if (!read_except(except->as_string().value_or(""), payload, problem)) return false;
  }
  return !params.has("acknowledge_ms") || read_acknowledge_ms(params.get_uint("acknowledge_ms"), payload, problem);
}

// Collects the replies of a broadcast.  Shared by the receipts that are still to come; the last one ends it.
struct Gather {
  std::vector<json::Value> responses;
  size_t missing = 0;
  Done done;

  void put(size_t index, Reply&& reply) {
    responses[index] = to_json(std::move(reply));
    if (--missing > 0) return;
    Reply all;
    all.result.set("responses", json::Value(std::move(responses)));
    done(std::move(all));
  }
};

}  // namespace

bool read_except(std::string_view id, Payload& payload, const char*& problem) {
  const auto uid = record::parse_uid(id);
  if (!uid) problem = "except is not a connection id";
  payload.except = uid.value_or(0);
  return uid.has_value();
}

bool read_acknowledge_ms(std::optional<uint64_t> ms, Payload& payload, const char*& problem) {
  if (!ms || *ms < 1 || *ms > kAcknowledgeMsMax) {
    problem = "acknowledge_ms is not a number from 1 to 30000";
    return false;
  }
  payload.wants_receipt = true;
  payload.acknowledge_ms = static_cast<uint32_t>(*ms);
  return true;
}

bool read_payload(const json::Value& params, Payload& payload, const char*& problem) {
  if (!read_options(params, payload, problem)) return false;
  const json::Value* data = params.find("data");
  const json::Value* base64 = params.find("b64data");
  if (data != nullptr && base64 != nullptr) {
    problem = "both data and b64data";
    return false;
  }
  if (data != nullptr) {
    payload.bytes = data->dump();
    return true;
  }
  if (base64 == nullptr) {
    problem = "data required";
    return false;
  }
  const auto decoded = crypto::base64_decode(base64->as_string().value_or("?"));
  if (!decoded) {
    problem = "b64data is not base64";
    return false;
  }
  payload.kind = ipc::PayloadKind::Binary;
  payload.bytes = *decoded;
  return true;
}

void Publishing::publish(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done) {
  const auto channel = params.get_string("channel");
  if (!channel) return done(Reply::failed(ErrorCode::BadRequest, "channel required"));
  Payload payload;
  const char* problem = nullptr;
  if (!read_payload(params, payload, problem)) return done(Reply::failed(ErrorCode::BadRequest, problem));
  std::string_view key;
  if (!read_idempotency_key(params, header_key, key)) return done(Reply::failed(ErrorCode::BadRequest, kNoKey));
  publish_payload(*channel, payload, key, bytes_max, std::move(done));
}

void Publishing::broadcast(const json::Value& params, std::string_view header_key, uint64_t bytes_max,
                           Done done) {
  const json::Value::Array* channels = params.get_array("channels");
  if (channels == nullptr || channels->empty()) {
    return done(Reply::failed(ErrorCode::BadRequest, "channels required"));
  }
  if (channels->size() > kChannelsMax) {
    return done(Reply::failed(ErrorCode::LimitExceeded, "too many channels in one broadcast"));
  }
  Payload payload;
  const char* problem = nullptr;
  if (!read_payload(params, payload, problem)) return done(Reply::failed(ErrorCode::BadRequest, problem));
  std::string_view key;
  if (!read_idempotency_key(params, header_key, key)) return done(Reply::failed(ErrorCode::BadRequest, kNoKey));

  auto gather = std::make_shared<Gather>();
  gather->responses.resize(channels->size());
  gather->missing = channels->size();
  gather->done = std::move(done);
  for (size_t i = 0; i < channels->size(); ++i) {
    publish_payload((*channels)[i].as_string().value_or(""), payload, key, bytes_max,
                    [gather, i](Reply&& reply) { gather->put(i, std::move(reply)); });
  }
}

void Publishing::publish_payload(std::string_view channel, const Payload& payload,
                                 std::string_view idempotency_key, uint64_t bytes_max, Done done) {
  if (!hub::Hub::valid_channel(channel)) return done(Reply::failed(ErrorCode::BadRequest, "not a channel name"));
  if (payload.bytes.size() > bytes_max) return done(Reply::failed(ErrorCode::LimitExceeded, "data too big"));
  if (idempotency_key.size() > kIdempotencyKeyBytesMax) {
    return done(Reply::failed(ErrorCode::LimitExceeded, "idempotency key too long"));
  }
  if (payload.event.size() > ipc::kEventBytesMax) {
    return done(Reply::failed(ErrorCode::LimitExceeded, "event too long"));
  }
  hub::PublishOptions options;
  options.kind = payload.kind;
  options.except = payload.except;
  options.idempotency_key = idempotency_key;
  options.origin.event = payload.event;
  if (payload.skips_history) options.flags |= ipc::kPublishNoHistory;
  if (payload.wants_receipt) {
    const auto receipt = std::make_shared<ReceiptedReply>(payload.acknowledge_ms > 0, std::move(done));
    done = [receipt](Reply&& reply) { receipt->put_reply(std::move(reply)); };
    options.acknowledge_ms = payload.acknowledge_ms;
    options.receipt_ticket = remote_.expect(payload.acknowledge_ms + kReceiptWithinMs,
                                            [receipt](auto&& answers) { receipt->put_answers(answers); });
    if (options.receipt_ticket == 0) return done(Reply::failed(ErrorCode::TooManyRequests, "too many receipts are waited for"));
  }
  const auto on_accepted = [done](const hub::PublishReceipt& receipt) {
    // Not accepted: the bus broke between the hub's queue and the master's receipt.
    if (!receipt.accepted) return done(Reply::failed(ErrorCode::TooManyRequests, "the hub is not reachable"));
    Reply reply;
    reply.result.set("offset", receipt.offset).set("epoch", receipt.epoch);
    done(std::move(reply));
  };
  if (!hub_.publish(channel, payload.bytes, options, on_accepted)) {
    if (options.receipt_ticket != 0) remote_.forget(options.receipt_ticket);
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

}  // namespace beamgate::api
