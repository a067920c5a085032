// The TLS part of Connections: handshakes, and connections whose records stay with OpenSSL.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "worker/net/connections.h"

namespace beamgate::net {

using metrics::Metric;
using record::ConnId;
using record::Phase;
using record::Record;
using record::Transport;
using State = tls::ServerSession::State;

namespace {

constexpr char kHandshakeRecord = 0x16;  // RFC 8446 section 5.1: the first byte of a ClientHello's record.
constexpr tls::HandshakeFailure kClientGone = {tls::HandshakeFailure::Kind::Closed, "the client has gone"};

}  // namespace

// What comes next at the address of `record`, which is to be found in `slot`.  False: there is no memory.
bool Connections::open_tls(Record& record, uint32_t slot) {
  auto context = tls_.context_of(record.listen_id);
  if (context == nullptr) return true;
  if (!tls_.open(slot, std::move(context), record.listen_id)) return false;
  record.transport = Transport::Tls;
  return true;
}

// Behind a PROXY header.  The bytes stay where they have landed: should this step be taken back, all of it is read again.
void Connections::begin_tls(Record& record, std::span<const char> bytes) {
  drop_carry(record);
  if (bytes.empty()) return;
  if (bytes[0] == kHandshakeRecord) {
    shake_hands(record, bytes);
  } else {
    dispatch_plain_on_tls(record, bytes);
  }
}

// As receive(): true when bytes were dispatched.  What the session itself has to say is pushed by the caller.
bool Connections::receive_tls(Record& record) {
  const std::span<char> landing = tls_.landing();
  const ssize_t received = recv(record.fd, landing.data(), landing.size(), 0);
  const uint32_t slot = slot_of(record);
  const bool shaking = tls_.handshaking(slot);
  if (received <= 0) {
    const bool gone = received == 0 || (errno != EAGAIN && errno != EINTR);
    if (gone && shaking && tls_.session(slot).has_begun()) handler_of(record).on_insecure(record, kClientGone);
    return received_nothing(record, received), false;
  }
  const std::span<const char> bytes(landing.data(), static_cast<size_t>(received));
  record.bytes_received += bytes.size();
  record.last_received_tick = wheel_.now_tick();
  metrics_.add(Metric::BytesReceived, bytes.size());
  if (!shaking) return dispatch_tls(record, bytes);
  if (tls_.session(slot).has_begun() || bytes[0] == kHandshakeRecord) return shake_hands(record, bytes);
  memcpy(arena_.landing(), bytes.data(), bytes.size());
  dispatch_plain_on_tls(record, {arena_.landing(), bytes.size()});
  return true;
}

bool Connections::shake_hands(Record& record, std::span<const char> bytes) {
  const uint32_t slot = slot_of(record);
  tls_.receive(slot, bytes, {});
  if (tls_.handshaking(slot)) return false;
  if (tls_.session(slot).state() != State::Failed) return secured(record);
  after_tls(record, true);
  return false;
}

// The handshake is done; what has come behind it is handled.
bool Connections::secured(Record& record) {
  const ConnId id = id_of(record);
  const std::span<const char> unread = tls_.session(id.slot).unread();
  tls_.agree(id.slot);
  metrics_.add(Metric::TlsHandshakes);
  if (tls_.negotiated(id.slot)->resumed()) metrics_.add(Metric::TlsSessionsResumed);
  const bool ours = take_over_tls(record);
  handler_of(record).on_secured(record);
  if (find(id) == nullptr) return false;
  if (!ours) return dispatch_tls(record, unread);
  arena_.stage().ciphertext = 0;
  memcpy(arena_.cipher_landing(), unread.data(), unread.size());
  return open_records(record, {arena_.cipher_landing(), unread.size()});
}

bool Connections::dispatch_tls(Record& record, std::span<const char> ciphertext) {
  const ConnId id = id_of(record);
  const size_t carried = land_carry(record).size();
  const size_t got = tls_.receive(id.slot, ciphertext, {arena_.landing() + carried, record::Arena::kLandingBytes - carried});
  if (got > 0) dispatch(record, {arena_.landing(), carried + got});
  if (find(id) != nullptr) after_tls(record, false);
  return got > 0;
}

// A ClientHello can't begin like this, an HTTP request may: the layer answers it in plain text.
void Connections::dispatch_plain_on_tls(Record& record, std::span<const char> bytes) {
  tls_.close(slot_of(record));
  record.transport = Transport::PlainOnTls;
  dispatch(record, bytes);
}

// What the bytes have done to the session, once those that were good are dispatched.
void Connections::after_tls(Record& record, bool shook_hands) {
  const uint32_t slot = slot_of(record);
  const State now = tls_.session(slot).state();
  if (now == State::Failed) {
    if (shook_hands) handler_of(record).on_insecure(record, tls_.session(slot).failure());
    static_cast<void>(tls_.push(slot, record.fd));  // An alert says why, if it finds room.
    count_sent(record, 0);
    return close_now(record);
  }
  if (now != State::Closed) return;
  // close_notify is the end of the peer's bytes, as FIN is on a plain connection.
  record.flags |= record::kFlagPeerClosed;
  arm(record, false, record.flags & record::kFlagWantWrite);
  mark_ready(record);
}

// Writes what is sealed already.  False: it waits for the kernel, or the connection is gone.
bool Connections::push_tls(Record& record) {
  if (!tls_waits(record)) return true;
  const TlsLinks::Push pushed = tls_.push(slot_of(record), record.fd);
  serve(record, ipc::Doing::Writing, [&] {
    count_sent(record, 0);
    if (pushed == TlsLinks::Push::Full) arm(record, record.flags & record::kFlagReadArmed, true);
    if (pushed == TlsLinks::Push::Failed) close_now(record);
  });
  return pushed == TlsLinks::Push::Done;
}

bool Connections::tls_waits(const Record& record) const {
  if (record.tls != record::kNull) return tls_state(record).has_batch();
  return record.transport == Transport::Tls && tls_.waits(slot_of(record));
}

// close_notify comes behind everything else and before FIN.  False: it waits for the kernel.
bool Connections::tls_ended(Record& record) {
  if (record.tls != record::kNull) return records_ended(record);
  if (record.flags & record::kFlagWriteShut) return true;
  tls_.say_goodbye(slot_of(record));
  const TlsLinks::Push pushed = tls_.push(slot_of(record), record.fd);
  count_sent(record, 0);
  if (pushed != TlsLinks::Push::Full) return true;
  arm(record, record.flags & record::kFlagReadArmed, true);
  return false;
}

// As sendfile(): the kernel can't seal, so the bytes come through here.
ssize_t Connections::send_file_tls(const Record& record, int file, off_t& offset, size_t count) {
  const std::span<char> piece = tls_.landing();
  const ssize_t got = pread(file, piece.data(), std::min(piece.size(), count), offset);
  if (got <= 0) return got;
  const iovec vector{piece.data(), static_cast<size_t>(got)};
  const ssize_t sent = tls_.send(slot_of(record), record.fd, &vector, 1);
  if (sent > 0) offset += sent;
  return sent;
}

}  // namespace beamgate::net
