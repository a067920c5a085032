#include "worker/api/user_calls.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "worker/api/arguments.h"
#include "worker/hub/hub.h"
#include "worker/proto/presence_events.h"

namespace beamgate::api {
namespace {

struct Cursor {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
};

std::optional<Cursor> parse_cursor(std::string_view text) {
  Cursor cursor;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, cursor.incarnation);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, cursor.sequence);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return cursor;
}

// False: it is no number from 1 to kListMax.
bool read_limit(const json::Value& params, uint32_t& limit) {
  limit = UserCalls::kListDefault;
  if (!params.has("limit")) return true;
  const auto wanted = params.get_int("limit");
  if (!wanted || *wanted < 1 || *wanted > UserCalls::kListMax) return false;
  limit = static_cast<uint32_t>(*wanted);
  return true;
}

const Reply kOverloaded = Reply::failed(ErrorCode::TooManyRequests, "the bus is full, or the answer too big");

}  // namespace

void UserCalls::users(const json::Value& params, Done done) {
  uint32_t limit = 0;
  if (!read_limit(params, limit)) return done(Reply::failed(ErrorCode::BadRequest, "limit is a number from 1 to 10000"));
  std::string_view last;
  if (!read_text(params, "after", last)) return done(Reply::failed(ErrorCode::BadRequest, "after is not a string"));
  const std::string after = hub::user_channel(last);
  const ipc::AskUsers question{.prefix = hub::kUserChannelPrefix, .after = after, .max = limit};
  context_.hub.ask_users(question, [done = std::move(done)](const ipc::UsersState& state) {
    if (!state.answered) return done(Reply(kOverloaded));
    Reply reply;
    json::Value users = json::Value::array();
    for (const ipc::Present& present : state.present) {
      json::Value user = json::Value::object();
      user.set("user", present.user).set("connections", int64_t{present.connections});
      user.set("since", format_rfc3339(present.joined_ms));
      users.push(std::move(user));
    }
    reply.result.set("users", std::move(users)).set("more", state.more);
    reply.result.set("cursor", proto::cursor_of(state.incarnation, state.sequence));
    done(std::move(reply));
  });
}

void UserCalls::changes(const json::Value& params, Done done) {
  uint32_t limit = 0;
  if (!read_limit(params, limit)) return done(Reply::failed(ErrorCode::BadRequest, "limit is a number from 1 to 10000"));
  const auto cursor = parse_cursor(params.get_string("since").value_or(""));
  if (!cursor) return done(Reply::failed(ErrorCode::BadRequest, "since is not a cursor"));
  const ipc::AskUsers question{.changes = true, .incarnation = cursor->incarnation, .since = cursor->sequence, .max = limit};
  context_.hub.ask_users(question, [done = std::move(done)](const ipc::UsersState& state) {
    if (!state.answered) return done(Reply(kOverloaded));
    Reply reply;
    json::Value changes = json::Value::array();
    for (const ipc::UserChange& change : state.changes) {
      json::Value entry = proto::describe(change);
      entry.set("type", proto::type_of(change));
      changes.push(std::move(entry));
    }
    const uint64_t reached = state.more ? state.changes.back().sequence : state.sequence;
    reply.result.set("changes", std::move(changes)).set("more", state.more).set("known", state.known);
    reply.result.set("cursor", proto::cursor_of(state.incarnation, reached));
    done(std::move(reply));
  });
}

}  // namespace beamgate::api
