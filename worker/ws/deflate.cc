#include "worker/ws/deflate.h"

#include <algorithm>
#include <vector>

#include "worker/ws/history.h"
#include "worker/ws/scratch.h"
#include "worker/ws/zlib_streams.h"

namespace beamgate::ws {
namespace {

using record::ConnId;
using record::Record;

constexpr size_t kWindowBytesMax = size_t{1} << 15;

// Streams that still hold the window of the connection that used them last.
template <typename Stream>
class StreamPool {
 public:
  // Null when the connection's stream is not here any more.
  Stream* find(ConnId id) {
    for (Entry& entry : entries_) {
      if (entry.owner != id) continue;
      entry.used = ++clock_;
      return entry.stream.get();
    }
    return nullptr;
  }
  // The stream that was not used for longest, or a new one; its window is to be set.
  Stream& take(ConnId id) {
    if (entries_.size() < Deflate::kCachedStreams) entries_.push_back({{}, 0, std::make_unique<Stream>()});
    Entry& oldest = *std::min_element(entries_.begin(), entries_.end(),
                                      [](const Entry& a, const Entry& b) { return a.used < b.used; });
    oldest.owner = id;
    oldest.used = ++clock_;
    return *oldest.stream;
  }
  void forget(ConnId id) {
    for (Entry& entry : entries_) {
      if (entry.owner == id) entry = {{}, 0, std::move(entry.stream)};
    }
  }

 private:
  struct Entry {
    ConnId owner;
    uint64_t used = 0;  // 0: nobody's, taken first.
    std::unique_ptr<Stream> stream;
  };

  std::vector<Entry> entries_;
  uint64_t clock_ = 0;
};

}  // namespace

void store_parameters(const DeflateParameters& parameters, record::WebSocketState& ws) {
  ws.deflate_flags = static_cast<uint8_t>(kDeflateNegotiated |
                                          (parameters.server_no_takeover ? kDeflateServerNoTakeover : 0) |
                                          (parameters.client_no_takeover ? kDeflateClientNoTakeover : 0));
  ws.deflate_window_bits =
      static_cast<uint8_t>(parameters.client_window_bits << 4 | parameters.server_window_bits);
}

DeflateParameters load_parameters(const record::WebSocketState& ws) {
  DeflateParameters out;
  out.server_window_bits = ws.deflate_window_bits & 0x0f;
  out.client_window_bits = ws.deflate_window_bits >> 4;
  out.server_no_takeover = ws.deflate_flags & kDeflateServerNoTakeover;
  out.client_no_takeover = ws.deflate_flags & kDeflateClientNoTakeover;
  return out;
}

struct Deflate::Parts {
  explicit Parts(record::Arena& the_arena) : arena(the_arena) {}

  std::string_view window_of(const History& history) {
    return {window.data(), history.copy_to(window)};
  }

  record::Arena& arena;
  StreamPool<Compressor> compressors;
  StreamPool<Decompressor> decompressors;
  Compressor shared_compressors[16];  // By window bits; each is made when it is first needed.
  Decompressor shared_decompressor;
  Scratch compressed;
  Scratch inflated;
  std::vector<char> window = std::vector<char>(kWindowBytesMax);
};

Deflate::Deflate(record::Arena& arena) : parts_(std::make_unique<Parts>(arena)) {}

Deflate::~Deflate() = default;

bool Deflate::takes_shared(const Record& record) {
  const uint8_t needed = kDeflateNegotiated | kDeflateServerNoTakeover;
  return (record.ws.deflate_flags & needed) == needed && (record.ws.deflate_window_bits & 0x0f) >= kSharedWindowBits;
}

std::string_view Deflate::compress_alone(std::string_view message, uint8_t window_bits, int level) {
  Compressor& stream = parts_->shared_compressors[window_bits];
  parts_->compressed.clear();
  if (message.empty() || !stream.start(window_bits, level)) return {};
  stream.run(message, parts_->compressed);
  if (parts_->compressed.size() >= message.size()) return {};
  const std::span<char> bytes = parts_->compressed.bytes();
  return {bytes.data(), bytes.size()};
}

std::string_view Deflate::compress_shared(std::string_view message, int level) {
  return compress_alone(message, kSharedWindowBits, level);
}

std::string_view Deflate::compress(Record& record, ConnId id, std::string_view message, int level) {
  const DeflateParameters parameters = load_parameters(record.ws);
  if (parameters.server_no_takeover) return compress_alone(message, parameters.server_window_bits, level);

  History history(parts_->arena, record.ws.sent_history, parameters.server_window_bits);
  if (message.empty() || !history.reserve(message.size())) return {};
  Compressor* stream = parts_->compressors.find(id);
  if (stream == nullptr) {
    stream = &parts_->compressors.take(id);
    if (!stream->start(parameters.server_window_bits, level)) {
      parts_->compressors.forget(id);
      return {};
    }
    stream->prime(parts_->window_of(history));
  }
  parts_->compressed.clear();
  stream->run(message, parts_->compressed);
  history.append(message);
  const std::span<char> bytes = parts_->compressed.bytes();
  return {bytes.data(), bytes.size()};
}

Deflate::Inflated Deflate::inflate(Record& record, ConnId id, std::span<const char> payload, uint64_t bytes_max) {
  const DeflateParameters parameters = load_parameters(record.ws);
  parts_->inflated.clear();
  if (parameters.client_no_takeover) {
    Decompressor& stream = parts_->shared_decompressor;
    if (!stream.start(parameters.client_window_bits)) return {Outcome::NoMemory, {}};
    const Outcome outcome = stream.run(payload, bytes_max, parts_->inflated);
    return {outcome, outcome == Outcome::Done ? parts_->inflated.bytes() : std::span<char>()};
  }

  History history(parts_->arena, record.ws.received_history, parameters.client_window_bits);
  Decompressor* stream = parts_->decompressors.find(id);
  if (stream == nullptr) {
    stream = &parts_->decompressors.take(id);
    if (!stream->start(parameters.client_window_bits)) {
      parts_->decompressors.forget(id);
      return {Outcome::NoMemory, {}};
    }
    stream->prime(parts_->window_of(history));
  }
  const Outcome outcome = stream->run(payload, bytes_max, parts_->inflated);
  const std::span<char> message = parts_->inflated.bytes();
  if (outcome != Outcome::Done) return {outcome, {}};
  if (!history.reserve(message.size())) return {Outcome::NoMemory, {}};
  history.append({message.data(), message.size()});
  return {outcome, message};
}

void Deflate::forget(Record& record, ConnId id) {
  if (record.ws.deflate_flags == 0) return;
  parts_->compressors.forget(id);
  parts_->decompressors.forget(id);
  for (record::Ref* ref : {&record.ws.sent_history, &record.ws.received_history}) {
    parts_->arena.release(*ref);
    *ref = record::kNull;
  }
}

}  // namespace beamgate::ws
