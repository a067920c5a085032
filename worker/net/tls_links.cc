#include "worker/net/tls_links.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace beamgate::net {
namespace {

// Writes until all is written or the kernel has no more room.
TlsLinks::Push write_all(int fd, std::string_view bytes, size_t& written) {
  while (written < bytes.size()) {
    const ssize_t sent = ::send(fd, bytes.data() + written, bytes.size() - written, MSG_NOSIGNAL);
    if (sent > 0) written += static_cast<size_t>(sent);
    if (sent < 0 && errno != EINTR) return errno == EAGAIN ? TlsLinks::Push::Full : TlsLinks::Push::Failed;
  }
  return TlsLinks::Push::Done;
}

}  // namespace

// Lends the shared memory for output to a session that has none under way.
class TlsLinks::Lent {
 public:
  Lent(TlsLinks& links, tls::ServerSession& session) : links_(links), wire_(session.wire) {
    if (wire_.output.empty()) wire_.output.swap(links_.spare_);
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  ~Lent() {
    if (wire_.output.empty() && links_.spare_.capacity() < wire_.output.capacity()) wire_.output.swap(links_.spare_);
    if (wire_.output.empty()) std::string().swap(wire_.output);
  }

 private:
  TlsLinks& links_;
  tls::Wire& wire_;
};

void TlsLinks::set_contexts(tls::Contexts& contexts, const tls::TicketKeyPage* tickets) {
  contexts_ = &contexts;
  tickets_ = tickets;
}

std::shared_ptr<const tls::ServerContext> TlsLinks::context_of(uint32_t listen_id) const {
  return contexts_ == nullptr ? nullptr : contexts_->context_of(listen_id);
}

TlsLinks::Link& TlsLinks::make(uint32_t slot) {
  if (links_.size() <= slot) links_.resize(slot + 1);
  links_[slot] = std::make_unique<Link>();
  return *links_[slot];
}

bool TlsLinks::open(uint32_t slot, std::shared_ptr<const tls::ServerContext> context, uint32_t listen_id) {
  Link& link = make(slot);
  link.session = tls::ServerSession::open(std::move(context), *contexts_, listen_id, tickets_);
  if (link.session == nullptr) return links_[slot].reset(), false;
  ++handshakes_;
  return true;
}

void TlsLinks::close(uint32_t slot) {
  if (slot >= links_.size() || links_[slot] == nullptr) return;
  if (links_[slot]->session != nullptr) --(links_[slot]->negotiated != nullptr ? sessions_ : handshakes_);
  links_[slot].reset();
}

void TlsLinks::agree(uint32_t slot) {
  at(slot).negotiated = std::make_unique<const tls::Negotiated>(session(slot).negotiated());
  --handshakes_;
  ++sessions_;
}

std::span<char> TlsLinks::landing() {
  landing_.resize(kReadBytes);
  return landing_;
}

// Whoever calls pushes afterwards, so what this has to say stays in the session's own memory but for a moment.
size_t TlsLinks::receive(uint32_t slot, std::span<const char> ciphertext, std::span<char> into) {
  tls::ServerSession& session = this->session(slot);
  const Lent lent(*this, session);
  return session.receive(ciphertext, into);
}

TlsLinks::Push TlsLinks::push(uint32_t slot, int fd) {
  tls::ServerSession& session = this->session(slot);
  if (session.wire.pending().empty()) return Push::Done;
  const Lent lent(*this, session);
  return write_out(session, fd);
}

TlsLinks::Push TlsLinks::write_out(tls::ServerSession& session, int fd) {
  size_t written = 0;
  const Push pushed = write_all(fd, session.wire.pending(), written);
  session.wire.took(written);
  written_ += written;
  return pushed;
}

// The next kSealBytes, in one piece: small frames share a TLS record.
std::string_view TlsLinks::gather(const iovec*& vector, const iovec* end, size_t& offset) {
  gathered_.clear();
  while (vector != end && gathered_.size() < kSealBytes) {
    const std::string_view rest(static_cast<const char*>(vector->iov_base) + offset, vector->iov_len - offset);
    const std::string_view part = rest.substr(0, kSealBytes - gathered_.size());
    offset += part.size();
    if (part.size() == rest.size()) {
      ++vector;
      offset = 0;
    }
    if (gathered_.empty() && (vector == end || part.size() == kSealBytes)) return part;
    gathered_ += part;
  }
  return gathered_;
}

ssize_t TlsLinks::send(uint32_t slot, int fd, const iovec* vectors, size_t count) {
  tls::ServerSession& session = this->session(slot);
  const Lent lent(*this, session);
  size_t taken = 0;
  size_t offset = 0;
  for (const iovec* const end = vectors + count;;) {
    const Push pushed = write_out(session, fd);
    if (pushed == Push::Failed) return -1;
    if (pushed == Push::Full && taken == 0) errno = EAGAIN;
    if (pushed == Push::Full) return taken == 0 ? -1 : static_cast<ssize_t>(taken);
    const std::string_view part = gather(vectors, end, offset);
    if (part.empty()) return static_cast<ssize_t>(taken);
    if (!session.send(part)) {
      errno = EPIPE;
      return -1;
    }
    taken += part.size();
  }
}

void TlsLinks::say_goodbye(uint32_t slot) { session(slot).close(); }

// --- Records of our own.

void TlsLinks::take_over(uint32_t slot) {
  Link& link = at(slot);
  link.records = std::make_unique<tls::RecordLayer>();
  link.wire.output = link.session->wire.pending();
  link.session.reset();
  --sessions_;
}

void TlsLinks::restore(uint32_t slot, tls::Negotiated negotiated) {
  Link& link = make(slot);
  link.records = std::make_unique<tls::RecordLayer>();
  link.negotiated = std::make_unique<const tls::Negotiated>(std::move(negotiated));
}

TlsLinks::Push TlsLinks::push_held(uint32_t slot, int fd, size_t& moved) {
  tls::Wire& wire = at(slot).wire;
  size_t written = 0;
  const Push pushed = write_all(fd, wire.pending(), written);
  wire.took(written);
  moved += written;
  if (wire.output.empty()) std::string().swap(wire.output);
  return pushed;
}

TlsLinks::Push TlsLinks::push_fresh(uint32_t slot, int fd, std::string_view ciphertext, size_t& moved) {
  size_t written = 0;
  const Push pushed = write_all(fd, ciphertext, written);
  moved += written;
  at(slot).wire.output = ciphertext.substr(written);
  return pushed;
}

std::string& TlsLinks::scratch() {
  sealed_.clear();
  return sealed_;
}

std::string& TlsLinks::plaintext() {
  gathered_.clear();
  return gathered_;
}

}  // namespace beamgate::net
