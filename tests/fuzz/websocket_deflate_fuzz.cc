// permessage-deflate: what is compressed is inflated as it was, with every window, with and without takeover, from windows
// that were kept and from windows that are rebuilt; hostile payloads end within the limit, with the same outcome from both.
// Input: a byte of window bits and takeover, then messages, each behind its size in one byte (254 and 255: times 16).
#include <vector>

#include "common/base/assert.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/ws/deflate.h"

namespace beamgate::fuzz {
namespace {

constexpr size_t kMessagesMax = 8;
constexpr uint64_t kBytesMax = 8192;

// The two ends of a connection; `anew` has no stream of its own from one message to the next.
class Ends {
 public:
  Ends(record::Arena& arena, const ws::DeflateParameters& parameters) : arena_(arena) {
    store_parameters(parameters, sender_.ws);
    store_parameters(parameters, receiver_.ws);
  }
  ~Ends() {
    for (record::Record* record : {&sender_, &receiver_}) {
      arena_.release(record->ws.sent_history);
      arena_.release(record->ws.received_history);
    }
  }

  std::string compress(ws::Deflate& deflate, std::string_view message) {
    return std::string(deflate.compress(sender_, {0, 1}, message, 1));
  }
  ws::Deflate::Outcome inflate(ws::Deflate& deflate, const std::string& payload, std::string& message) {
    const auto inflated = deflate.inflate(receiver_, {1, 1}, payload, kBytesMax);
    BG_ASSERT(inflated.message.size() <= kBytesMax);
    message.assign(inflated.message.begin(), inflated.message.end());
    return inflated.outcome;
  }

 private:
  record::Arena& arena_;
  record::Record sender_;
  record::Record receiver_;
};

record::Arena& arena() {
  static record::Arena one = std::move(record::Arena::map({}, 4)).value();
  return one;
}

void round_trip(const ws::DeflateParameters& parameters, const std::vector<std::string>& messages) {
  ws::Deflate kept(arena());
  Ends ends(arena(), parameters);
  for (const std::string& message : messages) {
    const std::string payload = ends.compress(kept, message);
    if (payload.empty()) continue;  // It goes uncompressed, and is in no window.
    ws::Deflate another(arena());
    std::string back;
    BG_ASSERT(ends.inflate(another, payload, back) == ws::Deflate::Outcome::Done && back == message);
  }
}

void hostile(const ws::DeflateParameters& parameters, const std::vector<std::string>& payloads) {
  ws::Deflate kept(arena());
  Ends one(arena(), parameters), other(arena(), parameters);
  for (const std::string& payload : payloads) {
    ws::Deflate another(arena());
    std::string here, there;
    const auto outcome = one.inflate(kept, payload, here);
    BG_ASSERT(other.inflate(another, payload, there) == outcome);
    if (outcome != ws::Deflate::Outcome::Done) return;  // The connection is failed.
    BG_ASSERT(here == there);
  }
}

}  // namespace

FUZZ_TARGET(websocket_deflate) {
  Input input(bytes);
  const uint8_t mode = input.byte();
  const auto bits = static_cast<uint8_t>(9 + (mode & 7) % 7);
  const bool alone = (mode & 8) != 0;
  const ws::DeflateParameters parameters{bits, bits, alone, alone};
  std::vector<std::string> messages;
  while (!input.empty() && messages.size() < kMessagesMax) {
    const size_t size = input.byte();
    std::string message(input.bytes(size));
    if (size >= 254) {
      for (int i = 0; i < 4; ++i) message += message;
    }
    messages.push_back(std::move(message));
  }
  round_trip(parameters, messages);
  hostile(parameters, messages);
  BG_ASSERT(arena().bytes_live() == 0);
}

}  // namespace beamgate::fuzz
