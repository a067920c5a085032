// Session: what a connection is to the protocol beside its record's own fields.
//
//   Fresh      -- connect, a token is valid where one is wanted --> Connecting
//   Connecting -- its user and channels are confirmed ------------> Connected
//
// Format     JSON in the handshake text (HandshakeText::session), so that it moves and survives with the record; of a
//            Fresh one that was promised no channels nothing is kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/record/arena.h"
#include "worker/record/record.h"

namespace beamgate::proto::centrifuge {

struct Session {
  enum class State : uint8_t { Fresh, Connecting, Connected };

  State state = State::Fresh;
  int64_t expires_s = 0;              // Unix time; 0: never.
  std::string info;                   // JSON, or empty: "conn_info".
  std::vector<std::string> channels;  // Fresh: what the application has it subscribe to.
};

Session load_session(const record::Arena& arena, const record::Record& record);
bool save_session(record::Arena& arena, record::Record& record, const Session& session);  // False: no memory.

}  // namespace beamgate::proto::centrifuge
