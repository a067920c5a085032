#include "common/tls/ticket_keys.h"

#include <algorithm>
#include <cstring>

#include "common/crypto/crypto.h"

namespace beamgate::tls {

TicketKey::~TicketKey() { explicit_bzero(this, sizeof *this); }

std::optional<TicketKey> parse_ticket_key(std::string_view bytes) {
  TicketKey key;
  if (bytes.size() != 80 && bytes.size() != 48) return std::nullopt;
  key.bytes = bytes.size() == 80 ? 32 : 16;
  memcpy(key.name, bytes.data(), sizeof key.name);
  const char* first = bytes.data() + sizeof key.name;
  const char* second = first + key.bytes;
  // The long form has the key of the MAC first, the short one that of the cipher.
  memcpy(key.mac, key.bytes == 32 ? first : second, key.bytes);
  memcpy(key.cipher, key.bytes == 32 ? second : first, key.bytes);
  return key;
}

// The odd number is seen before any byte changes, the even one after all have.
bool TicketKeyPage::rotate(int64_t wall_ms) {
  // A clock that was put back must not keep a key for ever.
  const bool current = count_ > 0 && wall_ms >= rotated_ms_ && wall_ms - rotated_ms_ < kRotationMs;
  if (current) return false;
  TicketKey fresh;
  crypto::fill_random(fresh.name, sizeof fresh.name);
  crypto::fill_random(fresh.mac, sizeof fresh.mac);
  crypto::fill_random(fresh.cipher, sizeof fresh.cipher);
  sequence_.fetch_add(1, std::memory_order_acq_rel);
  std::atomic_thread_fence(std::memory_order_release);
  std::copy_backward(keys_, keys_ + kKeys - 1, keys_ + kKeys);
  keys_[0] = fresh;
  count_ = std::min<uint32_t>(count_ + 1, kKeys);
  rotated_ms_ = wall_ms;
  sequence_.fetch_add(1, std::memory_order_release);
  return true;
}

std::vector<TicketKey> TicketKeyPage::keys() const {
  for (;;) {
    const uint32_t before = sequence_.load(std::memory_order_acquire);
    std::vector<TicketKey> keys(keys_, keys_ + std::min<uint32_t>(count_, kKeys));
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) return keys;
  }
}

}  // namespace beamgate::tls
