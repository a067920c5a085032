// TLS links: the TLS sessions of this worker's connections, and what goes through them.
//
// Owner      Connections.  A record says by its transport that it has one, found by its slot; it dies with its record,
//            or with its process: it is in no arena, so such a connection is neither moved nor adopted.
// Thread     Worker loop thread only.
// Limits     Ciphertext that the kernel doesn't take is at most kSealBytes and what the protocol adds, for plaintext
//            is sealed only when what was sealed before has left.  The rest waits as plaintext in the record's queue,
//            within its limits.
// Memory     An idle link has no buffers; those for bytes under way are shared by all.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/tls/server_session.h"

namespace beamgate::net {

class TlsLinks {
 public:
  static constexpr size_t kSealBytes = 64 << 10;
  static constexpr size_t kReadBytes = 64 << 10;

  // What new connections of an address speak; without it, all are plain.
  void set_contexts(tls::Contexts& contexts, const tls::TicketKeyPage* tickets);
  // Null: it is no address for TLS.
  std::shared_ptr<const tls::ServerContext> context_of(uint32_t listen_id) const;

  // False: there is no memory.
  bool open(uint32_t slot, std::shared_ptr<const tls::ServerContext> context, uint32_t listen_id);
  void close(uint32_t slot);
  uint32_t count() const { return count_; }
  tls::ServerSession& at(uint32_t slot) const { return *sessions_[slot]; }

  // What recv() gave goes here first.
  std::span<char> landing();

  // Decrypts; see ServerSession::receive().
  size_t receive(uint32_t slot, std::span<const char> ciphertext, std::span<char> into);

  enum class Push : uint8_t { Done, Full, Failed };
  // Writes what is sealed; Full: the kernel has no more room.
  Push push(uint32_t slot, int fd);
  bool waits(uint32_t slot) const { return !at(slot).wire.pending().empty(); }
  // Bytes that have gone to the kernel since this was asked the last time.
  uint64_t take_written() { return std::exchange(written_, 0); }

  // As sendmsg(): how many bytes of plaintext were taken, or -1 and errno.
  ssize_t send(uint32_t slot, int fd, const iovec* vectors, size_t count);

  // close_notify is sealed; push() it.
  void say_goodbye(uint32_t slot);

 private:
  class Lent;

  Push write_out(tls::ServerSession& session, int fd);
  std::string_view gather(const iovec*& vector, const iovec* end, size_t& offset);

  tls::Contexts* contexts_ = nullptr;
  const tls::TicketKeyPage* tickets_ = nullptr;
  std::vector<std::unique_ptr<tls::ServerSession>> sessions_;  // By slot.
  uint32_t count_ = 0;
  uint64_t written_ = 0;
  std::vector<char> landing_;
  std::string spare_;    // Memory for the output of whichever session is at work.
  std::string gathered_;
};

}  // namespace beamgate::net
