#include "worker/proto/connection_ops.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "common/config/channel_rules.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"
#include "worker/settings.h"

namespace beamgate::proto {
namespace {

bool is_unprintable(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

ConnectionOps::ConnectionOps(Context& context, ws::WebSockets& websockets, ChannelPolicy& policy)
    : context_(context), websockets_(websockets), policy_(policy) {
  context_.hub.set_on_subscribed([this](record::ConnId id, std::string_view) { on_subscribed(id); });
  context_.connections.set_on_free([this](record::Record& record) {
    context_.hub.unsubscribe_all(record);
    forget(record);
  });
}

ConnectionOps::~ConnectionOps() {
  context_.hub.set_on_subscribed({});
  context_.connections.set_on_free({});
}

record::Record* ConnectionOps::find_open(record::ConnId id) {
  record::Record* record = context_.connections.find(id);
  if (record == nullptr || record->phase != record::Phase::WebSocket) return nullptr;
  record::touch(context_.arena, *record);  // Whoever asks means to change it.
  return record;
}

Result<void> ConnectionOps::set_user(record::Record& record, std::string_view user) {
  if (user.size() > kUserBytesMax) return Error{Code::LimitReached, 0, "user longer than 200 bytes"};
  if (is_unprintable(user) || !valid_utf8(user)) return Error{Code::Invalid, 0, "user is no plain UTF-8 text"};
  if (user == user_of(record)) return {};
  context_.connections.touch(record);
  if (record.user != record::kNull) context_.hub.unsubscribe(record, hub::user_channel(user_of(record)));
  if (!context_.connections.set_user(record, user)) {
    return Error{Code::LimitReached, 0, "no memory for the user"};
  }
  if (user.empty()) return {};
  const std::string channel = hub::user_channel(user);
  context_.hub.unsubscribe(record, channel);  // As a plain subscriber, it was no member.
  if (auto joined = context_.hub.join(record, channel, {.member = true, .user = user}); !joined.ok()) return joined;
  // A handshake's connection fetches what was kept once it is open.
  const bool open = record.phase == record::Phase::WebSocket;
  if (open && config::rules_of(context_.settings.current().http, channel).history > 0) {
    context_.hub.fetch_kept(record, channel);
  }
  return {};
}

Result<void> ConnectionOps::set_state(record::Record& record, std::string_view state) {
  if (state.size() > kStateBytesMax) return Error{Code::LimitReached, 0, "state longer than 4096 bytes"};
  context_.connections.touch(record);
  if (!record::assign_text(context_.arena, record.app_state, state)) {
    return Error{Code::LimitReached, 0, "no memory for the state"};
  }
  return {};
}

std::string_view ConnectionOps::user_of(const record::Record& record) const {
  return record::text_of(context_.arena, record.user);
}

std::string_view ConnectionOps::state_of(const record::Record& record) const {
  return record::text_of(context_.arena, record.app_state);
}

Result<hub::Subscribed> ConnectionOps::subscribe(record::Record& record, std::string_view channel) {
  context_.connections.touch(record);
  if (Orders* orders = orders_for(record)) return orders->subscribe(record, channel);
  if (record.phase != record::Phase::WebSocket) return context_.hub.subscribe(record, channel);
  return policy_.subscribe(record, channel);
}

bool ConnectionOps::unsubscribe(record::Record& record, std::string_view channel) {
  context_.connections.touch(record);
  if (Orders* orders = orders_for(record)) return orders->unsubscribe(record, channel);
  PlainOrders* plain = plain_orders_for(record);
  if (plain == nullptr) return context_.hub.unsubscribe(record, channel);
  const bool subscribed = context_.hub.is_subscribed(record, channel);
  if (subscribed) plain->unsubscribe(record, channel);
  return subscribed;
}

bool ConnectionOps::send(record::Record& record, bool binary, std::string_view bytes) {
  if (record.phase != record::Phase::WebSocket) return false;
  context_.connections.touch(record);
  if (const Orders* orders = orders_for(record)) {
    return websockets_.send(record, ws::Opcode::Text, orders->message(binary, bytes));
  }
  return websockets_.send(record, binary ? ws::Opcode::Binary : ws::Opcode::Text, bytes);
}

void ConnectionOps::close(record::Record& record, metrics::Metric why, uint16_t code, std::string_view reason) {
  if (PlainOrders* plain = plain_orders_for(record)) return plain->close(record, why);
  if (record.phase != record::Phase::WebSocket) return;
  const Orders* orders = orders_for(record);
  const ws::CloseText text = orders == nullptr ? ws::CloseText{code, reason} : orders->closes_with(code, reason);
  websockets_.close(record, why, text.code, text.reason);
}

bool ConnectionOps::refresh(record::Record& record, bool expired, int64_t expires_s) {
  Orders* orders = orders_for(record);
  return orders != nullptr && orders->refresh(record, expired, expires_s);
}

// Null before it speaks its protocol: what is said then is part of the handshake.
Orders* ConnectionOps::orders_for(const record::Record& record) const {
  return record.phase == record::Phase::WebSocket ? orders_[static_cast<size_t>(record.protocol)] : nullptr;
}

PlainOrders* ConnectionOps::plain_orders_for(const record::Record& record) const {
  return record.phase != record::Phase::WebSocket ? plain_orders_[static_cast<size_t>(record.protocol)] : nullptr;
}

bool ConnectionOps::is_client(const record::Record& record) const {
  if (context_.connections.arriving(record)) return false;
  return record.phase == record::Phase::WebSocket || plain_orders_for(record) != nullptr;
}

bool ConnectionOps::valid_close_code(uint64_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void ConnectionOps::when_confirmed(record::Record& record, OnConfirmed done) {
  if (context_.hub.all_confirmed(record)) return done(&record);
  const record::ConnId id = context_.connections.id_of(record);
  Waiting& waiting = waiting_[id.slot];
  if (!(waiting.id == id)) waiting = Waiting{id, {}};  // Left over from the slot's last connection.
  waiting.done.push_back(std::move(done));
}

bool ConnectionOps::waits(const record::Record& record) const {
  const auto found = waiting_.find(context_.connections.id_of(record).slot);
  return found != waiting_.end() && found->second.id == context_.connections.id_of(record);
}

void ConnectionOps::forget(const record::Record& record) {
  const auto found = waiting_.find(context_.connections.id_of(record).slot);
  if (found == waiting_.end()) return;
  const std::vector<OnConfirmed> done = std::move(found->second.done);
  waiting_.erase(found);
  for (const OnConfirmed& call : done) call(nullptr);
}

void ConnectionOps::on_subscribed(record::ConnId id) {
  const auto found = waiting_.find(id.slot);
  record::Record* record = context_.connections.find(id);
  if (found == waiting_.end() || record == nullptr || !(found->second.id == id)) return;
  if (!context_.hub.all_confirmed(*record)) return;
  const std::vector<OnConfirmed> done = std::move(found->second.done);
  waiting_.erase(found);
  for (const OnConfirmed& call : done) {
    call(context_.connections.find(id));  // The one before may have closed it.
  }
}

}  // namespace beamgate::proto
