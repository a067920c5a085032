// TlsState: what a connection's TLS 1.3 is, from where its handshake has ended: plain data in the arena, so that it goes
// where the record goes.
//
// Owner      The record, by Record::tls; what was negotiated follows it in the same block (common/tls/negotiated.h).
//            Connections overwrites and releases it with the record.
// Sending    The record's queue is plaintext.  A batch of it is settled and committed before it is sealed, and stays in
//            the queue until the kernel has all of its ciphertext: so who comes after a crash, or after a move, seals
//            the same bytes with the same keys and goes on where the kernel's counters say.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/tls/record_layer.h"
#include "worker/record/arena.h"

namespace beamgate::record {

// What is settled to be sealed, and not all with the kernel yet.
enum class TlsBatch : uint8_t {
  None,
  Queue,      // The first bytes of the queue, or of the turn.
  KeyUpdate,
  Close,      // close_notify
  Through,    // Bytes that are nowhere else: their ciphertext is in the heap of this process, and can't leave it.
};

struct TlsState {
  static constexpr uint32_t kBatchBytesMax = 64 << 10;   // Of plaintext.
  static constexpr uint32_t kCarryBytesMax = 256 << 10;

  tls::Protection protection;
  Ref carry = kNull;              // Ciphertext that is no whole record yet.
  uint32_t carry_bytes = 0;
  uint32_t batch_bytes = 0;       // Of plaintext.
  uint32_t batch_sent = 0;        // Of its ciphertext: what the kernel has.
  uint32_t negotiated_bytes = 0;
  TlsBatch batch = TlsBatch::None;
  uint8_t said_close = 0;
  uint8_t unused[2] = {};

  bool has_batch() const { return batch != TlsBatch::None; }
  // Of the batch's ciphertext; 0: not known here.
  size_t sealed_bytes() const {
    switch (batch) {
      case TlsBatch::Queue: return tls::RecordLayer::sealed_bytes(batch_bytes);
      case TlsBatch::KeyUpdate: return tls::RecordLayer::kKeyUpdateBytes;
      case TlsBatch::Close: return tls::RecordLayer::kAlertBytes;
      default: return 0;
    }
  }
  // Plaintext at the head of the queue that mustn't change any more.
  uint32_t settled_bytes() const { return batch == TlsBatch::Queue ? batch_bytes : 0; }
  // Whatever code relies on is so; for one that comes from elsewhere.
  bool is_sound() const {
    const tls::Progress& progress = protection.progress;
    return tls::is_movable(static_cast<uint16_t>(protection.suite)) && batch < TlsBatch::Through &&
           batch_bytes <= kBatchBytesMax && (batch_sent == 0 || batch_sent < sealed_bytes()) &&
           progress.fragment_bytes <= sizeof progress.fragment;
  }
  bool wants_to_seal() const { return has_batch() || (protection.progress.owes_key_update != 0 && said_close == 0); }
};
static_assert(std::is_trivially_copyable_v<TlsState> && sizeof(TlsState) == 160);

}  // namespace beamgate::record
