// Record layer: what a peer seals is opened as a plain reading of RFC 8446 section 5 has it, wherever the bytes are cut
// and however often the state goes to another layer; bytes that nobody has sealed do no harm, neither there nor where
// what was negotiated is unpacked.
// Input: a byte for the suite, then records: a byte says what it is, one how much padding, one how long its content;
// the content.  Unprotected bytes are the end of them.
#include <optional>
#include <vector>

#include "common/base/assert.h"
#include "common/tls/negotiated.h"
#include "common/tls/record_layer.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "tests/unit/common/tls/record_peer.h"

namespace beamgate::fuzz {
namespace {

using tls::Protection;
using tls::RecordLayer;
using tls::RecordPeer;
using Alert = RecordLayer::Alert;

constexpr size_t kStreamBytesMax = 40'000;
constexpr size_t kPiecewiseMax = 4'000;  // What is kept is copied for each piece.
constexpr size_t kBytewiseMax = 1'000;
constexpr tls::Suite kSuites[] = {tls::Suite::Aes128GcmSha256, tls::Suite::Aes256GcmSha384,
                                  tls::Suite::ChaCha20Poly1305Sha256};

// What comes of records.
struct Outcome {
  std::string data;
  std::optional<Alert> failure;
  bool answered = true;
  bool closed = false;
  bool owes_key_update = false;

  bool operator==(const Outcome&) const = default;
};

// The reading to compare with: of whole records, before they are sealed.
class Reading {
 public:
  // True: what comes then is sealed with other keys.
  bool take(std::string_view inner) {
    if (over()) return false;
    if (inner.size() > RecordLayer::kPlaintextBytes + 1) return fail(Alert::RecordOverflow);
    const size_t type_at = inner.find_last_not_of('\0');
    if (type_at == std::string_view::npos) return fail(Alert::UnexpectedMessage);
    const auto type = static_cast<uint8_t>(inner[type_at]);
    const std::string_view content = inner.substr(0, type_at);
    if (!message_.empty() && type != RecordPeer::kHandshake) return fail(Alert::UnexpectedMessage);
    if (type == RecordPeer::kHandshake) return take_handshake(content);
    if (type == RecordPeer::kAlert) return take_alert(content);
    if (type != RecordPeer::kApplicationData) return fail(Alert::UnexpectedMessage);
    if (content.empty()) return count_empty();
    empty_ = key_updates_ = 0;
    outcome_.data += content;
    return false;
  }

  // Bytes that nobody has sealed.
  void take_unsealed(std::string_view bytes) {
    if (over() || bytes.size() < RecordLayer::kHeaderBytes) return;
    const size_t length = load_be<uint16_t>(bytes.data() + 3);
    if (bytes[0] != RecordPeer::kApplicationData) {
      fail(Alert::UnexpectedMessage);
    } else if (length > RecordLayer::kRecordBytesMax - RecordLayer::kHeaderBytes) {
      fail(Alert::RecordOverflow);
    } else if (length < 17 || bytes.size() - RecordLayer::kHeaderBytes >= length) {
      fail(Alert::BadRecordMac);
    }
  }

  bool over() const { return outcome_.failure.has_value() || outcome_.closed; }
  const Outcome& outcome() const { return outcome_; }

 private:
  bool fail(Alert alert) {
    outcome_.failure = alert;
    return false;
  }
  bool count_empty() { return ++empty_ > 32 && fail(Alert::UnexpectedMessage); }

  bool take_alert(std::string_view content) {
    if (content.size() != 2) return fail(content.empty() ? Alert::UnexpectedMessage : Alert::DecodeError);
    const auto alert = static_cast<Alert>(content[1]);
    if (alert == Alert::UserCanceled) return count_empty();
    outcome_.closed = alert == Alert::CloseNotify;
    outcome_.answered = outcome_.closed;
    return !outcome_.closed && fail(alert);
  }

  bool take_handshake(std::string_view content) {
    message_ += content;
    if (content.empty() || message_.size() > 5 || message_[0] != 24) return fail(Alert::UnexpectedMessage);
    if (message_.size() < 5) return false;
    if (message_.substr(0, 4) != std::string_view("\x18\0\0\x01", 4)) return fail(Alert::DecodeError);
    const auto request = static_cast<uint8_t>(message_[4]);
    if (request > 1) return fail(Alert::IllegalParameter);
    if (++key_updates_ > 32) return fail(Alert::UnexpectedMessage);
    message_.clear();
    outcome_.owes_key_update = outcome_.owes_key_update || request == 1;
    return true;
  }

  Outcome outcome_;
  std::string message_;  // Not all there yet.
  int empty_ = 0;
  int key_updates_ = 0;
};

Protection protection_of(uint8_t number) {
  Protection out;
  out.suite = kSuites[number % std::size(kSuites)];
  for (size_t i = 0; i < tls::kSecretBytesMax; ++i) {
    out.peer_secret[i] = static_cast<uint8_t>(i * 3 + number);
    out.own_secret[i] = static_cast<uint8_t>(i * 5 + number);
  }
  return out;
}

// What is in the record that the input describes next; nothing: bytes that are not sealed.
std::optional<std::string> next_inner(Input& input, bool& damaged) {
  const uint8_t what = input.byte();
  damaged = (what & 0x80) != 0;
  const size_t padding = input.byte() * ((what & 0x40) != 0 ? 65 : 1);
  const size_t content_bytes = input.byte();
  uint8_t type = RecordPeer::kApplicationData;
  std::string inner;
  switch (what & 7) {
    case 0: break;
    case 1: type = RecordPeer::kHandshake; break;
    case 2: type = RecordPeer::kAlert; break;
    case 3:  // A KeyUpdate as it should be.
      return std::string("\x18\0\0\x01", 4) + static_cast<char>(content_bytes % 2) + '\x16' + std::string(padding, '\0');
    case 4: type = input.byte(); break;
    case 5: return std::string(1 + padding, '\0');
    case 6: inner.assign(content_bytes * 65, 'x'); break;  // Up to more than there may be.
    default: return std::nullopt;
  }
  inner += input.bytes(content_bytes);
  inner += static_cast<char>(type);
  return inner.append(padding, '\0');
}

// As a worker does it: what is left over comes again, with more behind it.
Outcome open(const Protection& from, std::string_view bytes, Cut cut) {
  Protection protection = from;
  std::optional<RecordLayer> layer(std::in_place);
  Outcome out;
  std::string carry;
  in_pieces(bytes, cut, [&](std::string_view piece) {
    carry += piece;
    const std::vector<char> own(carry.begin(), carry.end());
    std::vector<char> into(own.size());
    const RecordLayer::Opened opened = layer->open(protection, own, into);
    BG_ASSERT(opened.used <= own.size() && opened.plaintext <= opened.used);
    BG_ASSERT(opened.failure.has_value() == (*opened.reason != '\0') && (opened.answer || opened.failure));
    out.data.append(into.data(), opened.plaintext);
    out.failure = opened.failure;
    out.answered = opened.answer;
    carry.erase(0, opened.used);
    BG_ASSERT(opened.failure || carry.size() < RecordLayer::kRecordBytesMax);
    BG_ASSERT(opened.failure || !RecordLayer::holds_record(carry));
    if (cut == Cut::Unevenly && opened.used > 0) layer.emplace();  // Another process has it from here on.
    return !opened.failure;
  });
  out.closed = protection.progress.received_close != 0;
  out.owes_key_update = protection.progress.owes_key_update != 0;
  BG_ASSERT(!out.closed || carry.empty());
  return out;
}

void check_records(std::string_view bytes) {
  Input input(bytes);
  const Protection protection = protection_of(input.byte());
  RecordPeer peer(protection.suite, protection.peer_secret);
  Reading reading;
  std::string stream;
  while (!input.empty() && stream.size() < kStreamBytesMax) {
    bool damaged = false;
    const std::optional<std::string> inner = next_inner(input, damaged);
    if (!inner) {
      stream += input.rest();
      reading.take_unsealed(input.rest());
      break;
    }
    if (inner->size() > RecordLayer::kPlaintextBytes + 240) continue;  // Its length alone is wrong: unsealed ones have that.
    std::string sealed = peer.seal_inner(*inner);
    if (damaged) {
      sealed.back() = static_cast<char>(sealed.back() ^ 1);
      reading.take_unsealed(sealed);
    } else if (reading.take(*inner)) {
      peer.advance();
    }
    stream += sealed;
  }
  BG_ASSERT(open(protection, stream, Cut::Whole) == reading.outcome());
  if (stream.size() <= kPiecewiseMax) BG_ASSERT(open(protection, stream, Cut::Unevenly) == reading.outcome());
  if (stream.size() <= kBytewiseMax) BG_ASSERT(open(protection, stream, Cut::EachByte) == reading.outcome());
}

// What is sealed is opened by the other end, and sealed again it is the same.
void check_sealing(std::string_view bytes) {
  const Protection own = protection_of(bytes.empty() ? uint8_t{0} : static_cast<uint8_t>(bytes[0]));
  Protection other = own;
  memcpy(other.peer_secret, own.own_secret, sizeof other.peer_secret);
  RecordLayer layer;
  std::string sealed, again;
  BG_ASSERT(layer.seal(own, bytes, sealed) && layer.seal(own, bytes, again));
  BG_ASSERT(sealed == again && sealed.size() == RecordLayer::sealed_bytes(bytes.size()));
  BG_ASSERT(open(other, sealed, Cut::Whole).data == bytes);
}

void check_negotiated(std::string_view bytes) {
  const auto negotiated = tls::Negotiated::unpack(bytes, tls::name_of(kSuites[0]));
  if (!negotiated) return;
  negotiated->client_refusal();
  BG_ASSERT(!negotiated->client_verify().empty());
  const std::string about = negotiated->client_subject() + negotiated->client_issuer() + negotiated->client_serial() +
                            negotiated->client_fingerprint() + negotiated->client_certificate();
  const std::string packed = negotiated->pack();
  if (packed.empty()) return;
  const auto again = tls::Negotiated::unpack(packed, tls::name_of(kSuites[0]));
  BG_ASSERT(again && again->pack() == packed && again->server_name() == negotiated->server_name());
  BG_ASSERT(about == again->client_subject() + again->client_issuer() + again->client_serial() +
                         again->client_fingerprint() + again->client_certificate());
}

}  // namespace

FUZZ_TARGET(record_layer) {
  check_records(bytes);
  check_sealing(bytes);
  check_negotiated(bytes);
  const Outcome unsealed = open(protection_of(0), bytes, Cut::Whole);
  Reading reading;
  reading.take_unsealed(bytes);
  BG_ASSERT(unsealed == reading.outcome());
}

}  // namespace beamgate::fuzz
