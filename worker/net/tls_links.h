// TLS links: what of the TLS of this worker's connections is in its heap, and what goes through it.
//
//   Handshaking -- ServerSession::take_over() --> Records: the record layer is ours, and its state is the record's
//               -- otherwise (TLS 1.2, ...) ----> Session: OpenSSL's for good; it dies with its record, or its process
//
// Owner      Connections.  A record says by its transport that it has one, found by its slot.
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

#include "common/tls/negotiated.h"
#include "common/tls/record_layer.h"
#include "common/tls/server_session.h"
#include "common/tls/wire.h"

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
  uint32_t sessions() const { return sessions_; }      // Those that can't leave the process,
  uint32_t handshakes() const { return handshakes_; }  // and those of which nobody knows yet.

  // Null until the handshake is done.
  const tls::Negotiated* negotiated(uint32_t slot) const { return at(slot).negotiated.get(); }

  enum class Push : uint8_t { Done, Full, Failed };

  // --- Sessions of OpenSSL.
  tls::ServerSession& session(uint32_t slot) const { return *at(slot).session; }
  bool handshaking(uint32_t slot) const {
    const Link& link = at(slot);
    return link.session != nullptr && link.session->state() == tls::ServerSession::State::Handshaking;
  }
  // The handshake is done.
  void agree(uint32_t slot);

  // What recv() gave goes here first.
  std::span<char> landing();
  // Decrypts; see ServerSession::receive().
  size_t receive(uint32_t slot, std::span<const char> ciphertext, std::span<char> into);
  // Writes what is sealed; Full: the kernel has no more room.
  Push push(uint32_t slot, int fd);
  bool waits(uint32_t slot) const { return !session(slot).wire.pending().empty(); }
  // Bytes that have gone to the kernel since this was asked the last time.
  uint64_t take_written() { return std::exchange(written_, 0); }
  // As sendmsg(): how many bytes of plaintext were taken, or -1 and errno.
  ssize_t send(uint32_t slot, int fd, const iovec* vectors, size_t count);
  // close_notify is sealed; push() it.
  void say_goodbye(uint32_t slot);

  // --- Records of our own.
  // The session goes; what it had still to write waits in the link.
  void take_over(uint32_t slot);
  // One that comes from another process.
  void restore(uint32_t slot, tls::Negotiated negotiated);
  tls::RecordLayer& records(uint32_t slot) const { return *at(slot).records; }

  // Ciphertext that the kernel hasn't taken: the rest of what is under way.
  bool holds(uint32_t slot) const { return !at(slot).wire.pending().empty(); }
  Push push_held(uint32_t slot, int fd, size_t& moved);
  // Writes `ciphertext`, and holds what the kernel doesn't take.
  Push push_fresh(uint32_t slot, int fd, std::string_view ciphertext, size_t& moved);
  // Empty memory to seal into: good until the next call of anything here.
  std::string& scratch();
  std::string& plaintext();  // As well, to gather in what is to be sealed.

 private:
  struct Link {
    std::unique_ptr<tls::ServerSession> session;
    std::unique_ptr<tls::RecordLayer> records;
    std::unique_ptr<const tls::Negotiated> negotiated;
    tls::Wire wire;  // Of records.
  };
  class Lent;

  Link& at(uint32_t slot) const { return *links_[slot]; }
  Link& make(uint32_t slot);
  Push write_out(tls::ServerSession& session, int fd);
  std::string_view gather(const iovec*& vector, const iovec* end, size_t& offset);

  tls::Contexts* contexts_ = nullptr;
  const tls::TicketKeyPage* tickets_ = nullptr;
  std::vector<std::unique_ptr<Link>> links_;  // By slot.
  uint32_t sessions_ = 0;
  uint32_t handshakes_ = 0;
  uint64_t written_ = 0;
  std::vector<char> landing_;
  std::string spare_;    // Memory for the output of whichever session is at work.
  std::string gathered_;
  std::string sealed_;
};

}  // namespace beamgate::net
