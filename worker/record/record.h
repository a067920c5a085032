// Record: what one client connection is.  Plain data, no pointers, in the worker's arena.
//
// Everything that must survive a move to another process or a crash is here or hangs off a Ref here;
// objects with behaviour (HTTP sessions, WebSocket sessions) are views over it, and library state is rebuilt
// from the raw bytes it holds.  An idle WebSocket is this record, its subscriptions, and its kernel socket.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "worker/record/arena.h"

namespace beamgate::record {

// Names one connection of this worker while it lives; a reused slot has another generation.
struct ConnId {
  uint32_t slot = UINT32_MAX;
  uint32_t generation = 0;
  bool operator==(const ConnId&) const = default;
};

//   Free            -- adopt() --------------------------> Http, or Announced where a PROXY header comes first
//   Announced       -- enter_phase(), the header read ---> Http
//   Http            -- enter_phase(), 101 sent ----------> WebSocket
//   Http            -- enter_phase(), ALPN or preface ---> Http2
//   Free            -- adopt_stream() -------------------> Http2, a stream that asks for a WebSocket
//   Http2           -- enter_phase(), of such a stream --> WebSocket
//   Http            -- enter_phase(), a head sent -------> EventStream; a request read: LongPoll, and back
//   Free            -- adopt(), of a line block ---------> Line
//   all but Free    -- close_gracefully() ---------------> Closing  (flush, FIN, discard until FIN or deadline)
//   any             -- close_now(), Closing done --------> Free
enum class Phase : uint8_t { Free, Http, WebSocket, Closing, Announced, Http2, EventStream, Line, LongPoll };
constexpr Phase kLastPhase = Phase::LongPoll;

// What is between the socket and the connection's bytes.
enum class Transport : uint8_t {
  Plain,
  Tls,         // TLS (net/tls_links.h).  Without Record::tls it is in the worker's heap, and can't leave its process.
  PlainOnTls,  // Plain bytes have come where TLS is spoken: the request is answered with 400.
  Stream,      // No socket: a stream of another connection of this process (net/stream_link.h).
};

// Numbers are never used again: the master, other workers and other builds know them.
enum class Protocol : uint8_t { None, Raw, Echo, Pusher, Phoenix, Centrifuge, EventStream, Line, LongPoll };
constexpr Protocol kLastProtocol = Protocol::LongPoll;
constexpr std::string_view name_of(Protocol protocol) {
  constexpr std::string_view kNames[] = {"none",       "raw",          "echo", "pusher", "phoenix",
                                         "centrifuge", "eventstream", "line", "longpoll"};
  return kNames[static_cast<size_t>(protocol)];
}

// Why a socket is not read; it is read again when the set is empty.
enum PauseReason : uint8_t {
  kPauseWebhook = 1 << 0,   // The connection's webhook queue is full.
  kPauseOutbound = 1 << 1,  // Replies would overfill the outbound queue.
  kPauseExchange = 1 << 2,  // An HTTP exchange is not finished, or its body can't be taken yet.
  kPauseBus = 1 << 3,       // The bus to the master is congested.
  kPauseTurn = 1 << 4,      // Its share of this loop turn is used up; it goes on in the next.
  kPauseMove = 1 << 5,      // It is frozen: on its way to another worker, or coming from one.
  kPauseLayer = 1 << 6,     // Its layer lets it wait, until a channel is joined or for its rate.
};

enum RecordFlag : uint8_t {
  kFlagDirty = 1 << 0,         // In the list of connections to flush at the end of this turn.
  kFlagWantWrite = 1 << 1,     // EPOLLOUT is armed: the kernel's send buffer is full.
  kFlagPeerClosed = 1 << 2,    // The peer has sent FIN, or has said that it sends no more.
  kFlagWriteShut = 1 << 3,     // We have sent FIN.
  kFlagReady = 1 << 4,         // In the list of connections with unread carry to dispatch.
  kFlagReadArmed = 1 << 5,     // EPOLLIN is in the set; disarmed only when input comes while paused.
  kFlagShared = 1 << 6,        // In the list of connections that wait for the next round of shared frames.
  kFlagExchange = 1 << 7,      // Phase Http: a request is in flight, which a successor can't go on with.
};

// RFC 6455 section 7: who has sent Close.
enum class CloseState : uint8_t { Open, SentClose, ReceivedClose, Both };

// A WebSocket frame in progress and the message it belongs to; bytes on the way are in Record::message.
struct WebSocketState {
  uint64_t payload_remaining = 0;  // Of the frame in progress.
  uint8_t mask[4] = {};            // Rotated so that mask[0] applies to the next byte.
  uint8_t frame_flags = 0;         // FrameFlag, ws/message_reader.h.
  uint8_t message_opcode = 0;      // Text or Binary; 0: no message begun.
  uint8_t message_flags = 0;       // MessageFlag, ws/message_reader.h.
  uint8_t utf8_state = 0;          // Of the validator, for a text message in pieces.
  uint8_t deflate_flags = 0;       // DeflateFlag, ws/deflate.h; 0: no permessage-deflate.
  uint8_t deflate_window_bits = 0; // Low nibble server - 0..15, high nibble client.
  CloseState close = CloseState::Open;
  uint8_t closed_by_peer = 0;      // Who was first, once `close` is not Open.
  uint16_t close_code = 0;         // What we sent or received first; 0: none yet.
  uint8_t silent = 0;              // It was closed for it; not told to a worker that it moves to.
  uint8_t unused = 0;
  Ref sent_history = kNull;        // ws/history.h: windows of a compression with context takeover.
  Ref received_history = kNull;
};

struct alignas(64) Record {
  // First line: what every read and write touches.
  int32_t fd = -1;
  uint32_t generation = 0;
  Phase phase = Phase::Free;
  Protocol protocol = Protocol::None;
  uint8_t flags = 0;             // RecordFlag
  uint8_t pauses = 0;            // PauseReason
  uint32_t carry_bytes = 0;      // Bytes in `carry`: read from the socket, not yet consumed.
  Ref carry = kNull;
  Ref outbound_head = kNull;     // OutboundNode list, oldest first.
  Ref outbound_tail = kNull;
  uint32_t outbound_offset = 0;  // Bytes of the head frame that the kernel already has.
  uint32_t outbound_bytes = 0;   // Bytes queued in all, less outbound_offset.
  uint32_t outbound_limit = 0;   // Frames above it are refused; the sender applies the policy.
  uint32_t location_id = 0;      // config::Location::id; 0 before routing.
  uint32_t listen_id = 0;
  uint32_t last_received_tick = 0;  // Timer wheel ticks.
  uint32_t deadline_tick = 0;       // 0: none.
  uint32_t messages_sent = 0;
  uint32_t saved_in_step = 0;       // Journal::number() of the step that has saved this record.

  // Second line: timers and the message being assembled.
  union {
    uint32_t timer_next = 0;      // Slot + 1 of the neighbours in the wheel.
    uint32_t move_deadline_tick;  // Of a frozen one, which is in no wheel: its deadline, armed again when it thaws.
  };
  uint32_t timer_previous = 0;
  Ref message = kNull;           // Payload of the message in progress, unmasked.
  uint32_t message_bytes = 0;
  WebSocketState ws;
  uint64_t uid = 0;              // Public connection id; see uid.h.

  // Third line: who it is, and what belongs to it.
  uint64_t so_cookie = 0;        // The kernel's name of the socket, proof of identity at adoption.
  int64_t accepted_ms = 0;       // Unix time.
  uint8_t peer_address[16] = {}; // IPv6, or IPv4 in the first four bytes.
  uint16_t peer_port = 0;
  uint8_t peer_family = 0;       // AF_INET, AF_INET6, AF_UNIX.
  uint8_t unused = 0;
  Ref user = kNull;              // Text blocks (text_block.h).
  Ref app_state = kNull;
  Ref handshake = kNull;         // What webhooks need of the upgrade request.
  Ref subscriptions = kNull;     // Hub::Subscription, hub/hub_parts.h.
  Ref hook_head = kNull;         // Messages for the application, oldest first; the first may be in flight.
  Ref hook_tail = kNull;

  // Fourth line: counters.
  uint32_t hook_messages = 0;
  uint32_t hook_sequence = 0;    // Sequence number of the connection's last event.
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint32_t messages_received = 0;
  uint16_t subscription_count = 0;
  Transport transport = Transport::Plain;
  uint8_t reserved = 0;
  uint32_t keepalive_count = 0;  // Requests answered on this connection.
  uint32_t address_entry = UINT32_MAX;  // Where the node counts this client's address (ipc::AddressTable).
  // While it is frozen: where its fate is written, for a successor too (move/decisions.h).
  uint32_t move_page = 0;        // Descriptor of the page of decisions, plus 1.
  uint32_t move_place = 0;       // See net::kPlaceArriving.
  Ref tls = kNull;                  // tls_state.h
  Ref extras = kNull;               // What only few connections have: extras.h.
#ifdef BEAMGATE_RECORD_PADDING
  uint8_t padding[BEAMGATE_RECORD_PADDING] = {};  // Another layout, for tests of an upgrade between layouts.
#endif
};
static_assert(std::is_trivially_copyable_v<Record>);
#ifndef BEAMGATE_RECORD_PADDING
static_assert(sizeof(Record) == 256, "four cache lines; an idle connection's main cost");
#endif

// Before a record changes: once per step.
inline void touch(Arena& arena, Record& record) {
  if (record.saved_in_step == arena.journal().number()) return;
  arena.save(record);
  record.saved_in_step = arena.journal().number();
}

// Before its first line alone changes, as when a frame is queued.
inline void touch_line(Arena& arena, Record& record) {
  if (record.saved_in_step != arena.journal().number()) arena.save(&record, 64);
}

}  // namespace beamgate::record
