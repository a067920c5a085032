#include "worker/proto/pusher/clients.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/keyed_hash.h"
#include "common/config/app_channels.h"
#include "worker/net/connections.h"
#include "worker/proto/pusher/frames.h"
#include "worker/settings.h"

namespace beamgate::pusher {

using config::App;
using record::Record;

std::shared_ptr<const App> Clients::app_of_key(const config::WebSocketAction& action, std::string_view key) const {
  for (const auto& app : action.apps) {
    if (app->key == key) return app;
  }
  if (!action.apps.empty()) return nullptr;
  for (const auto& [name, app] : context_.settings.current().http.apps) {
    if (app->key == key) return app;
  }
  return nullptr;
}

std::shared_ptr<const App> Clients::app_of(const Record& record) const {
  const Session session = session_of(record);
  for (const auto& [name, app] : context_.settings.current().http.apps) {
    if (app->id == session.app) return app;
  }
  return nullptr;
}

std::string Clients::name_of(std::string_view on_node) const {
  return config::name_in_app(context_.settings.current().http, on_node);
}

bool Clients::count(Record& record, const App& app) const {
  if (app.connections_max == 0) return true;
  constexpr uint64_t kSeed = 0;  // Every worker has to come to the same key, and ids are no stranger's.
  const uint64_t key = KeyedHash(kSeed)("connections_max of app " + app.id);
  return context_.connections.count_for(record, std::max<uint64_t>(key, 1), app.connections_max);
}

std::string Clients::publication_frame(std::string_view channel, ipc::PayloadKind kind, std::string_view payload,
                                       const ipc::Origin& origin) const {
  std::string frame = pusher::publication_frame(channel, kind, payload, origin);
  if (frame.empty()) context_.metrics.add(metrics::Metric::MessagesDroppedEvent);
  return frame;
}

void Clients::send(Record& record, std::string_view frame) const {
  if (frame.empty() || record.phase != record::Phase::WebSocket) return;
  context_.connections.touch(record);
  websockets_.send(record, ws::Opcode::Text, frame);
}

void Clients::error(Record& record, uint16_t code, std::string_view message) const {
  send(record, error_frame(code, message));
}

void Clients::end(Record& record, metrics::Metric why, uint16_t code, std::string_view message) const {
  BG_ASSERT(code < 4300);
  const record::ConnId id = context_.connections.id_of(record);
  error(record, code, message);
  if (context_.connections.find(id) != nullptr) ops_.close(record, why, code, message);
}

void Clients::warn(Record& record, std::string_view message) {
  Conduct& conduct = conduct_of(record);
  if (conduct.warned) return end(record, metrics::Metric::ClosesProtocolError, kErrorOverCapacity, message);
  conduct.warned = true;
  error(record, kErrorReconnect, message);
}

bool Clients::admit_event(const Record& record, uint32_t per_second) {
  Conduct& conduct = conduct_of(record);
  const int64_t now_ms = context_.connections.now_ms();
  const double most = per_second;
  if (conduct.refilled_ms == 0) {
    conduct.events_left = most;
  } else {
    const auto passed_ms = static_cast<double>(now_ms - conduct.refilled_ms);
    conduct.events_left = std::min(most, conduct.events_left + passed_ms * most / 1000);
  }
  conduct.refilled_ms = std::max<int64_t>(now_ms, 1);
  if (conduct.events_left < 1) return false;
  conduct.events_left -= 1;
  return true;
}

void Clients::forget(const Record& record) { conducts_.erase(context_.connections.id_of(record).slot); }

Clients::Conduct& Clients::conduct_of(const Record& record) {
  const record::ConnId id = context_.connections.id_of(record);
  Conduct& conduct = conducts_[id.slot];
  if (!(conduct.id == id)) conduct = Conduct{.id = id};
  return conduct;
}

}  // namespace beamgate::pusher
