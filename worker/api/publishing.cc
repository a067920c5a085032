#include "worker/api/publishing.h"

#include <memory>
#include <vector>

#include "common/crypto/crypto.h"

namespace beamgate::api {
namespace {

std::string_view idempotency_key_of(const json::Value& params, std::string_view header_key) {
  const std::string_view own = params.get_string("idempotency_key").value_or("");
  return own.empty() ? header_key : own;
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

bool read_payload(const json::Value& params, Payload& payload, const char*& problem) {
  const json::Value* data = params.find("data");
  const json::Value* base64 = params.find("b64data");
  if (data != nullptr && base64 != nullptr) {
    problem = "both data and b64data";
    return false;
  }
  if (data != nullptr) {
    payload = {ipc::PayloadKind::Json, data->dump()};
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
  payload = {ipc::PayloadKind::Binary, *decoded};
  return true;
}

void Publishing::publish(const json::Value& params, std::string_view header_key, uint64_t bytes_max, Done done) {
  const auto channel = params.get_string("channel");
  if (!channel) return done(Reply::failed(ErrorCode::BadRequest, "channel required"));
  Payload payload;
  const char* problem = nullptr;
  if (!read_payload(params, payload, problem)) return done(Reply::failed(ErrorCode::BadRequest, problem));
  publish_payload(*channel, payload, idempotency_key_of(params, header_key), bytes_max, std::move(done));
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

  auto gather = std::make_shared<Gather>();
  gather->responses.resize(channels->size());
  gather->missing = channels->size();
  gather->done = std::move(done);
  const std::string_view key = idempotency_key_of(params, header_key);
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
  hub::PublishOptions options;
  options.kind = payload.kind;
  options.idempotency_key = idempotency_key;
  const auto on_receipt = [done](const hub::PublishReceipt& receipt) {
    // Not accepted: the bus broke between the hub's queue and the master's receipt.
    if (!receipt.accepted) return done(Reply::failed(ErrorCode::TooManyRequests, "the hub is not reachable"));
    Reply reply;
    reply.result.set("offset", receipt.offset).set("epoch", receipt.epoch);
    done(std::move(reply));
  };
  if (!hub_.publish(channel, payload.bytes, options, on_receipt)) {
    done(Reply::failed(ErrorCode::TooManyRequests, "the bus is full"));
  }
}

}  // namespace beamgate::api
