#include "worker/proto/connection_ops.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "worker/net/connections.h"
#include "worker/record/text_block.h"

namespace beamgate::proto {
namespace {

bool has_control_byte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

ConnectionOps::ConnectionOps(Context& context, ws::WebSockets& websockets)
    : context_(context), websockets_(websockets) {
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
  if (user.size() > kUserBytesMax) return Error{Code::LimitReached, 0, "user longer than 255 bytes"};
  if (has_control_byte(user) || !valid_utf8(user)) return Error{Code::Invalid, 0, "user is no plain UTF-8 text"};
  context_.connections.touch(record);
  if (!record::assign_text(context_.arena, record.user, user)) {
    return Error{Code::LimitReached, 0, "no memory for the user"};
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
  return context_.hub.subscribe(record, channel);
}

bool ConnectionOps::unsubscribe(record::Record& record, std::string_view channel) {
  context_.connections.touch(record);
  return context_.hub.unsubscribe(record, channel);
}

bool ConnectionOps::send(record::Record& record, bool binary, std::string_view bytes) {
  if (record.phase != record::Phase::WebSocket) return false;
  context_.connections.touch(record);
  return websockets_.send(record, binary ? ws::Opcode::Binary : ws::Opcode::Text, bytes);
}

void ConnectionOps::close(record::Record& record, uint16_t code, std::string_view reason) {
  if (record.phase == record::Phase::WebSocket) websockets_.close(record, code, reason);
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
