#include "worker/api/user_taps.h"

#include <string>

#include "common/base/clock.h"
#include "worker/record/text_block.h"
#include "worker/record/uid.h"

namespace beamgate::api {
namespace {

std::string line_of(const record::Record& record, ws::Tap::Way way, bool binary, std::string_view payload) {
  std::string line = std::to_string(wall_ms()) + ' ' + record::format_uid(record.uid) + ' ';
  line += static_cast<char>(way);
  line += binary ? "b " : "t ";
  line += std::to_string(payload.size()) + ' ';
  return line.append(payload.substr(0, UserTaps::kShownBytesMax));
}

}  // namespace

UserTaps::UserTaps(Context& context, ConnectionCalls& calls)
    : Tap(context), context_(context), calls_(calls), hash_(context.address_seed) {}

bool UserTaps::renew(std::string_view user, uint64_t connection) {
  if (switches_ == nullptr) return false;
  const auto renewed = switches_->taps.renew(hash_(user), connection, monotonic_ms());
  if (renewed == ipc::Taps::Renewed::Begun) {
    context_.log.notice("tap_begun", {{"user", user}, {"connection", record::format_uid(connection)}});
  }
  return renewed != ipc::Taps::Renewed::NoPlace;
}

void UserTaps::show(const record::Record& record, Way way, bool binary, std::string_view payload) {
  const int64_t now_ms = connections_.now_ms();
  if (switches_->taps.has(record.uid, now_ms)) return;  // Two could look at each other for ever.
  std::string line;
  const uint64_t user = hash_(record::text_of(context_.arena, record.user));
  switches_->taps.for_each_connection(user, now_ms, [&](uint64_t connection) {
    if (line.empty()) line = line_of(record, way, binary, payload);
    if (const auto found = not_shown_.extract(connection)) {
      const std::string note = std::to_string(found.mapped()) + " messages before are not shown";
      send(connection, line_of(record, Way::Event, false, note), found.mapped());
    }
    send(connection, line, 1);
  });
}

void UserTaps::send(uint64_t to, std::string_view line, uint32_t messages) {
  const ConnectionCall call{.op = ConnectionOp::Send, .uid = to, .binary = true, .bytes = line};
  calls_.run(call, [this, to, messages](ConnectionCalls::Outcome&& outcome) {
    if (!outcome.asked) missed(to, messages);
  });
}

// Those whose tap has ended are not told any more.
void UserTaps::missed(uint64_t by, uint32_t messages) {
  if (not_shown_.size() >= ipc::Taps::kTapsMax) {
    const int64_t now_ms = connections_.now_ms();
    std::erase_if(not_shown_, [&](const auto& each) { return !switches_->taps.has(each.first, now_ms); });
  }
  not_shown_[by] += messages;
}

}  // namespace beamgate::api
