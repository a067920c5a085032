// Session: what a connection of the Pusher protocol is beside its subscriptions, kept in its record.
#pragma once

#include <string>

#include "worker/record/record.h"

namespace beamgate::pusher {

struct Session {
  std::string app;        // config::App::id
  std::string user;       // Who has signed in, as its app knows it; empty: nobody.
  std::string user_info;  // JSON, or empty.
};

// An empty session for a connection that has none.
Session read_session(const record::Arena& arena, const record::Record& record);
std::string session_text(const Session& session);  // What is kept.
bool write_session(record::Arena& arena, record::Record& record, const Session& session);  // False: no memory.

}  // namespace beamgate::pusher
