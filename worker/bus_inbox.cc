#include "worker/bus_inbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "common/base/bytes.h"
#include "common/ipc/channel.h"

namespace beamgate {
namespace {

using record::Arena;
using record::kNull;

const Error kBadPacket{Code::Invalid, 0, "bad bus packet"};

}  // namespace

BusInbox::BusInbox(Arena& arena, ipc::Life::Now& now)
    : arena_(arena), now_(now), packet_(new char[ipc::kPacketBytesMax]) {}

Result<void> BusInbox::receive(int socket, const Handler& handler) {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const auto read = read_packet(socket);
    if (!read.ok()) return read.error();
    if (read.value() == Read::Nothing) return {};
    bytes_received_ += packet_bytes_;
    if (auto handled = handle_packet({packet_.get(), packet_bytes_}, handler); !handled.ok()) return handled;
    if (read.value() == Read::Peeked) recv(socket, nullptr, 0, 0);
  }
  return {};
}

Result<BusInbox::Read> BusInbox::read_packet(int socket) {
  const auto peeked = ipc::receive_packet(socket, packet_.get(), MSG_PEEK, nullptr);
  if (!peeked.ok()) return peeked.error();
  if (!peeked.value()) return Read::Nothing;
  packet_bytes_ = *peeked.value();
  if (packet_bytes_ < sizeof(ipc::PacketHeader)) return kBadPacket;
  if (load_le<ipc::PacketHeader>(packet_.get()).descriptors == 0) return Read::Peeked;
  ipc::Descriptors descriptors;
  const auto taken = ipc::receive_packet(socket, packet_.get(), 0, &descriptors);
  if (!taken.ok()) return taken.error();
  if (load_le<ipc::PacketHeader>(packet_.get()).descriptors != descriptors.size()) return kBadPacket;
  std::move(descriptors.begin(), descriptors.end(), std::back_inserter(descriptors_));
  return Read::Taken;
}

Result<void> BusInbox::handle_packet(std::string_view packet, const Handler& handler) {
  const auto header = load_le<ipc::PacketHeader>(packet.data());
  if (header.magic != ipc::kPacketMagic || header.version != ipc::kBusVersion) return kBadPacket;
  std::string_view rest = packet.substr(sizeof header);
  // Positions of a new master are higher than the old one's; not higher: a successor sees the packet again.
  if ((header.flags & ipc::kPacketAnew) != 0 && header.position > arena_.vault().bus_read) begin_anew(header.position);
  const uint64_t seen = arena_.vault().bus_read;
  if (header.position > seen) return kBadPacket;
  rest.remove_prefix(static_cast<size_t>(std::min<uint64_t>(seen - header.position, rest.size())));
  while (!rest.empty()) {
    const auto used = arena_.vault().partial_whole > 0 ? collect(rest, handler) : handle_frame(rest, handler);
    if (!used.ok()) return used.error();
    rest.remove_prefix(used.value());
  }
  return {};
}

// The rest of a cut frame died with the master that had begun it.
void BusInbox::begin_anew(uint64_t position) {
  const record::Step step(arena_);
  record::Vault& vault = arena_.vault();
  record::Ref& partial = arena_.root(Arena::Root::BusPartial);
  arena_.save(vault);
  arena_.save(partial);
  if (vault.partial_whole > 0) arena_.release(partial);
  partial = kNull;
  vault.partial_bytes = vault.partial_whole = 0;
  vault.bus_read = position;
}

Result<size_t> BusInbox::handle_frame(std::string_view rest, const Handler& handler) {
  if (rest.size() < ipc::kFrameHeaderBytes) return kBadPacket;
  const auto body_bytes = load_le<uint32_t>(rest.data());
  if (body_bytes > ipc::kFrameBytesMax) return kBadPacket;
  const size_t whole = ipc::kFrameHeaderBytes + body_bytes;
  const record::Step step(arena_);
  record::Vault& vault = arena_.vault();
  arena_.save(vault);
  if (whole > rest.size()) {
    record::Ref& partial = arena_.root(Arena::Root::BusPartial);
    arena_.save(partial);
    partial = arena_.allocate(whole);
    if (partial == kNull) return Error{Code::LimitReached, 0, "no memory for a bus frame"};
    vault.partial_whole = static_cast<uint32_t>(whole);
    vault.partial_bytes = 0;
    return size_t{0};
  }
  if (auto handed = hand_out(rest.substr(0, whole), handler); !handed.ok()) return handed.error();
  vault.bus_read += whole;
  return whole;
}

// Adds to the cut frame, and hands it out when it is whole.
Result<size_t> BusInbox::collect(std::string_view rest, const Handler& handler) {
  const record::Step step(arena_);
  record::Vault& vault = arena_.vault();
  arena_.save(vault);
  record::Ref& partial = arena_.root(Arena::Root::BusPartial);
  const size_t take = std::min<size_t>(rest.size(), vault.partial_whole - vault.partial_bytes);
  memcpy(arena_.at(partial) + vault.partial_bytes, rest.data(), take);
  vault.partial_bytes += static_cast<uint32_t>(take);
  if (vault.partial_bytes == vault.partial_whole) {
    const std::string_view whole(arena_.at(partial), vault.partial_whole);
    if (auto handed = hand_out(whole, handler); !handed.ok()) return handed.error();
    arena_.save(partial);
    arena_.release(partial);
    partial = kNull;
    vault.partial_bytes = vault.partial_whole = 0;
  }
  vault.bus_read += take;
  return take;
}

bool BusInbox::copy_from(const Arena& from) {
  const record::Vault& old = from.vault();
  if (old.partial_whole == 0) return true;
  const char* bytes = from.look(from.root(Arena::Root::BusPartial), old.partial_whole);
  if (bytes == nullptr || old.partial_bytes > old.partial_whole) return false;
  const record::Ref copy = arena_.allocate(old.partial_whole);
  if (copy == kNull) return false;
  memcpy(arena_.at(copy), bytes, old.partial_bytes);
  arena_.root(Arena::Root::BusPartial) = copy;
  arena_.vault().partial_bytes = old.partial_bytes;
  arena_.vault().partial_whole = old.partial_whole;
  return true;
}

Result<void> BusInbox::hand_out(std::string_view whole, const Handler& handler) {
  ipc::Frame frame;
  frame.kind = static_cast<ipc::Kind>(load_le<uint16_t>(whole.data() + 4));
  frame.body = whole.substr(ipc::kFrameHeaderBytes);
  ipc::Descriptors descriptors = std::move(descriptors_);
  descriptors_.clear();
  frame.descriptors = &descriptors;
  now_.doing = ipc::Doing::BusFrame;
  now_.bus_position = arena_.vault().bus_read + 1;
  const bool right = handler(frame);
  now_.bus_position = 0;
  if (!right) return Error{Code::Invalid, 0, "bad bus message"};
  return {};
}

}  // namespace beamgate
