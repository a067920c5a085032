#include "worker/proto/pusher/sign_in.h"

#include "common/config/app_channels.h"
#include "worker/net/connections.h"
#include "worker/proto/pusher/frames.h"
#include "worker/proto/pusher/signature.h"
#include "worker/proto/pusher/socket_id.h"
#include "worker/settings.h"

namespace beamgate::pusher {

using record::Record;

void SignIn::run(Record& record, const config::App& app, const json::Value& data) {
  const std::string user_data(data.get_string("user_data").value_or(""));
  if (!verify_user(app, format_socket_id(record.uid), user_data, data.get_string("auth").value_or(""))) {
    return clients_.end(record, metrics::Metric::ClosesToken, kErrorUnauthorized, "Connection not authorized.");
  }
  const auto parsed = json::parse(user_data);
  const json::Value* id = parsed ? parsed.value().find("id") : nullptr;
  const std::string user = id == nullptr ? std::string() : user_text(*id);
  if (user.empty()) {
    return clients_.end(record, metrics::Metric::ClosesToken, kErrorUnauthorized, "user_data has no id.");
  }
  Session session = clients_.session_of(record);
  session.user = user;
  const json::Value* info = parsed.value().find("user_info");
  session.user_info = info == nullptr || info->is_null() ? std::string() : info->dump();
  const std::string on_node = config::user_on_node(app, user);
  // An app without a prefix may have ids that look like the users of another one.
  const config::Http& http = clients_.context().settings.current().http;
  const bool own = config::app_prefix_of(http, on_node) == app.channel_prefix;
  if (!own || !clients_.ops().set_user(record, on_node).ok() || !write_session(clients_.context().arena, record, session)) {
    return clients_.end(record, metrics::Metric::ClosesToken, kErrorUnauthorized, "This id can't be taken.");
  }
  json::Value success;
  success.set("user_data", user_data);
  const record::ConnId connection = clients_.context().connections.id_of(record);
  const json::Value* found = parsed.value().find("watchlist");
  const json::Value watched = found == nullptr ? json::Value() : *found;
  clients_.ops().when_confirmed(record, [this, connection, prefix = app.channel_prefix, watched, text = success.dump()](Record* open) {
    if (open == nullptr) return;
    clients_.send(*open, event_frame("pusher:signin_success", {}, text));
    open = clients_.ops().find_open(connection);
    if (open != nullptr) watchlist_.watch(*open, prefix, &watched);
  });
}

}  // namespace beamgate::pusher
