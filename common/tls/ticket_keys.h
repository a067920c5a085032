// Ticket keys: what session tickets are sealed with, so that any worker resumes a session that any other began.
//
// Owner      The master maps one TicketKeyPage for all workers, before it forks, and alone writes to it.
// Rotation   A new key every kRotationMs; older ones still open tickets until they have left the page, after which
//            nobody can read what was sealed with them (RFC 5077 section 5.5).
// Thread     One writer; any process reads, lock-free.  A reader that meets a rotation reads again.
// Death      Of a writer within a rotation: there are no keys, so that handshakes do without tickets, until the next
//            master's rotate(), which makes all anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace beamgate::tls {

struct TicketKey {
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // Overwrites them.

  uint8_t name[16] = {};
  uint8_t mac[32] = {};
  uint8_t cipher[32] = {};
  uint32_t bytes = 32;  // Of `mac` and `cipher` that count: 32 (AES-256) or 16 (AES-128).
};

// The key in a file of ssl_session_ticket_key, 80 or 48 bytes as nginx has them; nothing for another length.
std::optional<TicketKey> parse_ticket_key(std::string_view bytes);

// Zero bytes are an empty page: it has no keys yet.
class TicketKeyPage {
 public:
  static constexpr int64_t kRotationMs = 8 * 3'600'000;
  static constexpr size_t kKeys = 4;  // A ticket is good for 24 to 32 hours.

  // Makes a new key when the newest is too old, there is none, or what is there was left half.  Master only.  True: it
  // did.
  bool rotate(int64_t wall_ms);

  // Newest first; empty when there is none.
  std::vector<TicketKey> keys() const;

 private:
  std::atomic<uint32_t> sequence_{0};  // Odd while it is written.
  std::atomic<uint32_t> count_{0};
  int64_t rotated_ms_ = 0;             // The writer's own.
  TicketKey keys_[kKeys];
};
static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(TicketKeyPage) == 352);

}  // namespace beamgate::tls
