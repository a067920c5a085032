// Protocol: what the two ends of a move say to each other.
//
//   both    HELLO                     who speaks, and how much it can take
//   source  SUBSCRIBE(batch)          channels of the connections to come; the last one says so
//   dest.   SUBSCRIBED(batch)         it hears them all, from these places on
//   source  OFFER(batch)              when it has heard as much itself; the connections, frozen, and their sockets
//   dest.   PREPARED(batch, bitmap)   which of them it can take
//   source  COMMIT(batch)             the page of decisions says which have moved
//   dest.   DONE(batch)               they are served
//   source  END                       nothing more will come
//
// A batch is undecided until the source has written its decision (decisions.h).  When either end breaks off, or
// says something wrong, undecided batches stay with the source and decided ones with the destination.
// Format   One SOCK_SEQPACKET packet per message: u16 kind, then its fields as in common/ipc/wire.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace beamgate::move {

constexpr uint16_t kProtocolVersion = 2;

enum class Kind : uint16_t { Hello = 1, Subscribe, Subscribed, Offer, Prepared, Commit, Done, End };

struct Hello {
  static constexpr Kind kKind = Kind::Hello;
  uint16_t version = kProtocolVersion;
  uint16_t format_major = 0;
  uint16_t format_minor = 0;
  uint64_t build = 0;
  uint32_t batch_max = 0;   // Connections in a batch.
  uint32_t room = 0;        // Connections it has room for.
  template <typename V, typename M>
  static void visit(V& v, M& m) {
    v(m.version), v(m.format_major), v(m.format_minor), v(m.build), v(m.batch_max), v(m.room);
  }
};

struct Subscribe {
  static constexpr Kind kKind = Kind::Subscribe;
  uint32_t batch = 0;
  bool last = true;
  std::vector<std::string_view> channels;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch), v(m.last), v(m.channels); }
};

struct Subscribed {
  static constexpr Kind kKind = Kind::Subscribed;
  uint32_t batch = 0;
  std::vector<uint64_t> offsets;   // Of the channels, in the order in which they were named,
  std::vector<uint64_t> presence;  // and of the changes of their members.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch), v(m.offsets), v(m.presence); }
};

// The descriptors come with it, in the order of the connections.
struct Offer {
  static constexpr Kind kKind = Kind::Offer;
  uint32_t batch = 0;
  uint32_t connections = 0;
  bool in_memfd = false;    // The bytes are in a memfd, whose descriptor is the first.
  std::string_view bytes;   // record_tlv.h
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch), v(m.connections), v(m.in_memfd), v(m.bytes); }
};

struct Prepared {
  static constexpr Kind kKind = Kind::Prepared;
  uint32_t batch = 0;
  uint64_t accepted = 0;    // Bitmap.
  uint32_t room = 0;        // As in Hello.
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch), v(m.accepted), v(m.room); }
};

struct Commit {
  static constexpr Kind kKind = Kind::Commit;
  uint32_t batch = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch); }
};

struct Done {
  static constexpr Kind kKind = Kind::Done;
  uint32_t batch = 0;
  template <typename V, typename M>
  static void visit(V& v, M& m) { v(m.batch); }
};

struct End {
  static constexpr Kind kKind = Kind::End;
  template <typename V, typename M>
  static void visit(V&, M&) {}
};

}  // namespace beamgate::move
