// PhaseHandler: what a protocol layer does with a connection that is in its phase.
//
// Connections calls it; it never calls itself back from inside one of its own calls.  Any call may end the
// connection: afterwards the record must be looked up again by its ConnId.
#pragma once

#include <span>

#include "common/tls/handshake_failure.h"
#include "worker/record/record.h"

namespace beamgate::net {

class PhaseHandler {
 public:
  virtual ~PhaseHandler() = default;

  // The connection has just come into this phase, by adopt() or enter_phase(), before any of its bytes: the
  // layer sets its limits and its first deadline.  It may close the connection.
  virtual void on_enter(record::Record& record) { static_cast<void>(record); }

  // A TLS handshake, which on_enter() came before, is done; or it has failed, and on_gone() or on_end() follows.
  virtual void on_secured(record::Record& record) { static_cast<void>(record); }
  virtual void on_insecure(record::Record& record, const tls::HandshakeFailure& failure) {
    static_cast<void>(record), static_cast<void>(failure);
  }

  // Bytes from the peer, carry first.  They stay as they came, so that they can be handled once more should this
  // worker be killed meanwhile.  Returns how many were consumed; the rest is kept and offered again with more bytes behind it,
  // so it must stay within the layer's limits.  To stop early, pause the connection with a reason.
  virtual size_t on_bytes(record::Record& record, std::span<const char> bytes) = 0;

  // The peer sent FIN and everything before it was consumed or can't be completed.
  virtual void on_end(record::Record& record) = 0;

  // The peer has sent FIN behind bytes that are not read yet, while the connection is paused in phase Http.  It may want
  // an answer all the same; said once or more.
  virtual void on_peer_gone(record::Record& record) { static_cast<void>(record); }

  // Everything sent so far is with the kernel; called after something was sent.
  virtual void on_drained(record::Record& record) = 0;

  // The deadline set with Connections::set_deadline has passed; the layer sets the next.
  virtual void on_deadline(record::Record& record) = 0;

  // False: what is under way here can't be left to another worker just now; it is asked again later.
  virtual bool may_move(const record::Record& record) { return static_cast<void>(record), true; }

  // The connection was served by another worker until now: the record is as that one left it.  The layer makes
  // what it holds outside the record (indexes, timers, calls under way) and tells nobody that anything began.
  virtual void on_adopted(record::Record& record) { static_cast<void>(record); }

  // The connection goes on in another worker: the layer forgets what it holds outside the record, and tells
  // nobody that anything ended.
  virtual void on_given(record::Record& record) { static_cast<void>(record); }

  // The connection leaves: it was closed by either side, or the layer closed it itself.  Called once; drop
  // views and memberships.  What was queued before close_gracefully() still goes out, nothing more can be sent.
  virtual void on_gone(record::Record& record) = 0;
};

}  // namespace beamgate::net
