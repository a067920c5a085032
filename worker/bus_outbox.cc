#include "worker/bus_outbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/ipc/packet.h"

namespace beamgate {
namespace {

using record::Arena;
using record::kNull;
using record::Ref;

constexpr size_t kFirstBytes = 4096;   // Of a packet's block, for the few frames of a quiet turn.
constexpr size_t kLargeBytes = 32768;  // For a busy one.

bool is_gone(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

}  // namespace

BusOutbox::Packet* BusOutbox::tail() const {
  const Ref ref = arena_.root(Arena::Root::OutboxTail);
  return ref == kNull ? nullptr : arena_.at<Packet>(ref);
}

size_t BusOutbox::room(Ref packet) const {
  return packet == kNull ? 0 : arena_.capacity(packet) - sizeof(Packet) - arena_.at<Packet>(packet)->bytes;
}

bool BusOutbox::append_body(uint16_t kind, std::string_view body) {
  if (body.size() > ipc::kFrameBytesMax) return false;
  char header[ipc::kFrameHeaderBytes] = {};
  store_le(header, static_cast<uint32_t>(body.size()));
  store_le(header + 4, kind);
  const size_t size = sizeof header + body.size();
  const Packet* last = tail();
  // The end of a cut frame stays alone: who doesn't know its beginning can't tell where the next one begins.
  const bool full = last == nullptr || last->continues != 0 || room(arena_.root(Arena::Root::OutboxTail)) < size;
  if (full && !add_packet(size, false)) return false;
  put({header, sizeof header});
  for (;;) {
    const size_t part = std::min(body.size(), room(arena_.root(Arena::Root::OutboxTail)));
    put(body.substr(0, part));
    body.remove_prefix(part);
    if (body.empty()) return true;
    if (!add_packet(body.size(), true)) {
      // Half a frame can't be taken back; the bus ends here, and a worker without memory with it.
      BG_ASSERT(false && "no memory for the bus");
    }
  }
}

bool BusOutbox::add_packet(size_t payload, bool continues) {
  const bool busy = arena_.root(Arena::Root::OutboxTail) != kNull;
  const size_t wanted = std::min(sizeof(Packet) + payload, kLargeBytes);
  const Ref added = arena_.allocate(std::max(wanted, busy ? kLargeBytes : kFirstBytes));
  if (added == kNull) return false;
  *arena_.at<Packet>(added) = Packet{kNull, 0, arena_.vault().bus_written, continues, 0};
  Ref& head = arena_.root(Arena::Root::OutboxHead);
  Ref& end = arena_.root(Arena::Root::OutboxTail);
  arena_.save(head);
  arena_.save(end);
  if (end == kNull) {
    head = added;
  } else {
    arena_.save(*arena_.at<Packet>(end));
    arena_.at<Packet>(end)->next = added;
  }
  end = added;
  return true;
}

// REQUIRES: there is room in the last packet.
void BusOutbox::put(std::string_view bytes) {
  if (bytes.empty()) return;
  Packet* packet = tail();
  arena_.save(*packet);
  arena_.save(arena_.vault());
  memcpy(reinterpret_cast<char*>(packet + 1) + packet->bytes, bytes.data(), bytes.size());
  packet->bytes += static_cast<uint32_t>(bytes.size());
  arena_.vault().bus_written += bytes.size();
  bytes_ += bytes.size();
}

Result<bool> BusOutbox::flush(int socket) {
  arena_.commit_turn();
  while (const Ref head = arena_.root(Arena::Root::OutboxHead)) {
    const Packet& packet = *arena_.at<Packet>(head);
    const ipc::PacketHeader header{ipc::kPacketMagic, ipc::kBusVersion,
                                   packet.continues != 0 ? ipc::kPacketContinues : uint8_t{0}, 0, packet.position};
    iovec parts[2] = {{const_cast<ipc::PacketHeader*>(&header), sizeof header},
                      {const_cast<Packet*>(&packet) + 1, packet.bytes}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return false;
      if (is_gone(errno)) return Error{Code::Closed, 0, "the other end of the bus is gone"};
      return system_error("can't write to the bus");
    }
    const record::Step step(arena_);
    pop();
  }
  return true;
}

void BusOutbox::pop() {
  Ref& head = arena_.root(Arena::Root::OutboxHead);
  Ref& end = arena_.root(Arena::Root::OutboxTail);
  const Ref sent = head;
  arena_.save(head);
  arena_.save(end);
  bytes_ -= arena_.at<Packet>(sent)->bytes;
  head = arena_.at<Packet>(sent)->next;
  if (head == kNull) end = kNull;
  arena_.release(sent);
}

bool BusOutbox::copy_from(const Arena& from) {
  arena_.vault().bus_read = from.vault().bus_read;
  arena_.vault().bus_written = from.vault().bus_written;
  uint64_t position = 0;
  for (Ref at = from.root(Arena::Root::OutboxHead); at != kNull;) {
    const auto* old = from.look<Packet>(at);
    if (old == nullptr || from.look(at, sizeof *old + size_t{old->bytes}) == nullptr) return false;
    const bool follows = bytes_ == 0 || old->position == position;
    if (!follows || old->bytes > kLargeBytes) return false;
    const Ref copy = arena_.allocate(std::max(sizeof(Packet) + old->bytes, kFirstBytes));
    if (copy == kNull) return false;
    memcpy(arena_.at(copy), old, sizeof(Packet) + old->bytes);
    arena_.at<Packet>(copy)->next = kNull;
    Ref& end = arena_.root(Arena::Root::OutboxTail);
    (end == kNull ? arena_.root(Arena::Root::OutboxHead) : arena_.at<Packet>(end)->next) = copy;
    end = copy;
    bytes_ += old->bytes;
    position = old->position + old->bytes;
    at = old->next;
  }
  return bytes_ == 0 || position == arena_.vault().bus_written;
}

}  // namespace beamgate
