#include "worker/proto/pusher/session.h"

#include "common/json/value.h"
#include "worker/proto/handshake_text.h"

namespace beamgate::pusher {

Session read_session(const record::Arena& arena, const record::Record& record) {
  Session session;
  const auto parsed = json::parse(proto::session_of(arena, record));
  if (!parsed) return session;
  session.app = parsed.value().get_string("app").value_or("");
  session.user = parsed.value().get_string("user").value_or("");
  session.user_info = parsed.value().get_string("info").value_or("");
  return session;
}

std::string session_text(const Session& session) {
  json::Value out;
  out.set("app", session.app);
  if (!session.user.empty()) out.set("user", session.user).set("info", session.user_info);
  return out.dump();
}

bool write_session(record::Arena& arena, record::Record& record, const Session& session) {
  return proto::set_session(arena, record, session_text(session));
}

}  // namespace beamgate::pusher
