#include "common/tls/ticket_keys.h"

#include <algorithm>
#include <cstring>

#include "common/crypto/crypto.h"

namespace beamgate::tls {

namespace {

// One of the two lies in the page, where others read while it is written.
void copy_shared(const TicketKey& from, TicketKey& to) {
  auto* in = reinterpret_cast<uint8_t*>(const_cast<TicketKey*>(&from));
  auto* out = reinterpret_cast<uint8_t*>(&to);
  for (size_t i = 0; i < sizeof to; ++i) {
    const uint8_t byte = std::atomic_ref(in[i]).load(std::memory_order_relaxed);
    std::atomic_ref(out[i]).store(byte, std::memory_order_relaxed);
  }
}

}  // namespace

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
  const uint32_t before = sequence_.load(std::memory_order_relaxed);
  const bool torn = before % 2 != 0;
  const uint32_t count = torn ? 0 : std::min<uint32_t>(count_.load(std::memory_order_relaxed), kKeys);
  // A clock that was put back must not keep a key for ever.
  const bool current = count > 0 && wall_ms >= rotated_ms_ && wall_ms - rotated_ms_ < kRotationMs;
  if (current) return false;
  TicketKey fresh;
  crypto::fill_random(fresh.name, sizeof fresh.name);
  crypto::fill_random(fresh.mac, sizeof fresh.mac);
  crypto::fill_random(fresh.cipher, sizeof fresh.cipher);
  const uint32_t writing = before | 1;
  sequence_.store(writing, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (size_t i = kKeys - 1; i > 0; --i) copy_shared(keys_[i - 1], keys_[i]);
  copy_shared(fresh, keys_[0]);
  count_.store(std::min<uint32_t>(count + 1, kKeys), std::memory_order_relaxed);
  rotated_ms_ = wall_ms;
  sequence_.store(writing + 1, std::memory_order_release);
  return true;
}

// A writer that is still at it after so many tries is dead, or waits for a processor, as others wait for this one.
std::vector<TicketKey> TicketKeyPage::keys() const {
  constexpr int kTriesMax = 1'000;
  for (int i = 0; i < kTriesMax; ++i) {
    const uint32_t before = sequence_.load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    std::vector<TicketKey> keys(std::min<size_t>(count_.load(std::memory_order_relaxed), kKeys));
    for (size_t key = 0; key < keys.size(); ++key) copy_shared(keys_[key], keys[key]);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (sequence_.load(std::memory_order_relaxed) == before) return keys;
  }
  return {};
}

}  // namespace beamgate::tls
