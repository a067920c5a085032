#include "worker/move/porter.h"

#include <sys/socket.h>

#include <cstring>

#include "worker/net/connections.h"
#include "worker/record/text_block.h"
#include "worker/ws/deflate.h"
#include "worker/ws/history.h"

namespace beamgate::move {
namespace {

using record::kNull;
using record::Record;
using record::Ref;

// What of a record is the connection's and not its worker's.
Record plain_fields(const Record& record) {
  Record out;
  out.phase = record.phase;
  out.protocol = record.protocol;
  out.flags = record.flags & record::kFlagPeerClosed;
  out.pauses = record.pauses & (record::kPauseWebhook | record::kPauseOutbound);
  out.outbound_offset = record.outbound_offset;
  out.outbound_limit = record.outbound_limit;
  out.location_id = record.location_id;
  out.listen_id = record.listen_id;
  out.ws = record.ws;
  out.ws.sent_history = out.ws.received_history = kNull;
  out.uid = record.uid;
  out.so_cookie = record.so_cookie;
  out.accepted_ms = record.accepted_ms;
  memcpy(out.peer_address, record.peer_address, sizeof out.peer_address);
  out.peer_port = record.peer_port;
  out.peer_family = record.peer_family;
  out.hook_sequence = record.hook_sequence;
  out.bytes_received = record.bytes_received;
  out.bytes_sent = record.bytes_sent;
  out.messages_received = record.messages_received;
  out.messages_sent = record.messages_sent;
  out.keepalive_count = record.keepalive_count;
  return out;
}

std::string history_of(record::Arena& arena, Ref ref, uint8_t window_bits) {
  const ws::History history(arena, ref, window_bits);
  std::string out(history.size(), '\0');
  history.copy_to(out);
  return out;
}

bool restore_history(record::Arena& arena, Ref& ref, uint8_t window_bits, std::string_view text) {
  ws::History history(arena, ref, window_bits);
  if (text.empty()) return true;
  if (!history.reserve(text.size())) return false;
  history.append(text);
  return true;
}

bool restore_bytes(record::Arena& arena, Ref& ref, uint32_t& size, std::string_view bytes) {
  if (bytes.empty()) return true;
  ref = arena.allocate(bytes.size());
  if (ref == kNull) return false;
  memcpy(arena.at(ref), bytes.data(), bytes.size());
  size = static_cast<uint32_t>(bytes.size());
  return true;
}

bool is_socket(int fd, uint64_t so_cookie) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 && cookie == so_cookie;
}

}  // namespace

Porter::Porter(Context& context) : context_(context), hooks_(context.arena) {}

Image Porter::take(const Record& record) const {
  record::Arena& arena = context_.arena;
  Image image;
  image.fields = plain_fields(record);
  image.deadline_ms = context_.connections.deadline_ms(record);
  image.last_received_ms = context_.connections.last_received_ms(record);
  image.extras = record::extras_of(arena, record);
  if (record.tls != kNull) {
    image.tls = context_.connections.tls_state(record);
    image.tls_carry = context_.connections.tls_carry(record);
    image.negotiated = context_.connections.negotiated_bytes(record);
  }
  if (record.carry_bytes > 0) image.carry = {arena.at(record.carry), record.carry_bytes};
  if (record.message_bytes > 0) image.message = {arena.at(record.message), record.message_bytes};
  image.user = record::text_of(arena, record.user);
  image.app_state = record::text_of(arena, record.app_state);
  image.handshake = record::text_of(arena, record.handshake);
  image.outbound = context_.connections.outbound_frames(record);
  for (const auto& message : hooks_.all(record)) {
    image.hooks.push_back({message.binary, message.sequence, message.bytes});
  }
  image.subscriptions = context_.hub.positions_of(record);
  if (record.ws.deflate_flags != 0) {
    const ws::DeflateParameters parameters = ws::load_parameters(record.ws);
    image.sent_history = history_of(arena, record.ws.sent_history, parameters.server_window_bits);
    image.received_history = history_of(arena, record.ws.received_history, parameters.client_window_bits);
  }
  return image;
}

Record* Porter::build(const Image& image, UniqueFd socket, uint32_t page, uint32_t place, const char*& reason) {
  if (!socket.valid() || !is_socket(socket.get(), image.fields.so_cookie)) return reason = "no socket of it", nullptr;
  net::Arrival arrival{.fields = image.fields, .deadline_ms = image.deadline_ms,
                       .last_received_ms = image.last_received_ms, .page = page, .place = place};
  arrival.fields.outbound_offset = 0;  // Until there is something.
  Record* record = context_.connections.admit(std::move(socket), arrival);
  if (record == nullptr) return reason = "no room", nullptr;
  if (!fill(*record, image)) {
    reason = "no memory";
  } else if (!context_.hub.arrive(*record, image.subscriptions)) {
    reason = "publications are not known here";
  } else {
    return record;
  }
  discard(*record);
  return nullptr;
}

bool Porter::fill(Record& record, const Image& image) {
  record::Arena& arena = context_.arena;
  const bool texts = context_.connections.set_user(record, image.user) &&
                     record::assign_text(arena, record.app_state, image.app_state) &&
                     record::assign_text(arena, record.handshake, image.handshake);
  if (!texts || !restore_bytes(arena, record.carry, record.carry_bytes, image.carry) ||
      !restore_bytes(arena, record.message, record.message_bytes, image.message)) {
    return false;
  }
  if (!context_.connections.restore_extras(record, image.extras)) return false;
  if (image.tls && !context_.connections.restore_tls(record, *image.tls, image.tls_carry, image.negotiated)) return false;
  for (const std::string_view frame : image.outbound) {
    if (!context_.connections.restore_frame(record, frame)) return false;
  }
  context_.connections.restore_begun(record, image.fields.outbound_offset);
  for (const HookMessage& message : image.hooks) {
    if (!hooks_.push(record, message.binary, message.sequence, message.bytes)) return false;
  }
  if (record.ws.deflate_flags == 0) return true;
  const ws::DeflateParameters parameters = ws::load_parameters(record.ws);
  return restore_history(arena, record.ws.sent_history, parameters.server_window_bits, image.sent_history) &&
         restore_history(arena, record.ws.received_history, parameters.client_window_bits, image.received_history);
}

void Porter::discard(Record& record) {
  context_.hub.unsubscribe_all(record);
  hooks_.clear(record);
  for (Ref* ref : {&record.ws.sent_history, &record.ws.received_history}) {
    context_.arena.release(*ref);
    *ref = kNull;
  }
  context_.connections.turn_away(record);
}

}  // namespace beamgate::move
