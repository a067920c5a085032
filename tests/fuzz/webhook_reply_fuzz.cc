// Webhook reply: what an application or a GRIP backend answers is understood whole or refused with a reason, and never asks
// for what may not be done.  Input: a byte (1: GRIP, 2: the answer to OPEN), head lines, an empty line, the body.
#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/hook/grip_events.h"
#include "worker/hook/reply_reader.h"
#include "worker/hook/retry_after.h"
#include "worker/http/grammar.h"
#include "worker/ws/close_code.h"

namespace beamgate::fuzz {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

void check_actions(const hook::Actions& actions) {
  for (const auto* channels : {&actions.subscribe, &actions.unsubscribe}) {
    for (const std::string& channel : *channels) BG_ASSERT(!channel.empty());
  }
  for (const hook::Message& message : actions.send) BG_ASSERT(message.binary || valid_utf8(message.bytes));
  for (const hook::Publish& publish : actions.publish) BG_ASSERT(publish.binary || valid_utf8(publish.bytes));
  if (!actions.close) return;
  BG_ASSERT(ws::valid_close_code(actions.close->code) || actions.close->code == 1005);
  BG_ASSERT(valid_utf8(actions.close->reason));  // It is cut where it is sent.
}

void check_grip(std::string_view body) {
  const auto events = hook::parse_grip_events(body);
  if (events.ok()) {
    std::string written;
    for (const hook::GripEvent& event : events.value()) write_grip_event(event.kind, event.content, written);
    const auto again = hook::parse_grip_events(written);
    BG_ASSERT(again.ok() && again.value().size() == events.value().size());
    for (size_t i = 0; i < events.value().size(); ++i) {
      BG_ASSERT(again.value()[i].kind == events.value()[i].kind && again.value()[i].content == events.value()[i].content);
    }
  }
  const std::string state = hook::GripState::parse(body).dump();
  BG_ASSERT(hook::GripState::parse(state).dump() == state);
}

}  // namespace

FUZZ_TARGET(webhook_reply) {
  Input input(bytes);
  const uint8_t mode = input.byte();
  hook::ReplyReader reader(4096);
  if ((mode & 1) != 0) reader.expect_grip(hook::GripState{.control = (mode & 4) != 0}, (mode & 2) != 0);
  bool good = true;
  while (good && !input.empty()) {
    const std::string line = std::string(input.line()) + '\n';
    good = reader.on_head_line(line);
    if (line == "\r\n" || line == "\n") break;
  }
  const std::string_view body = input.rest();
  in_pieces(body, Cut::Unevenly, [&](std::string_view piece) { return good = good && reader.on_body(piece); });
  check_grip(body);
  const auto wait = hook::parse_retry_after(body, kNow);
  BG_ASSERT(!wait || (*wait >= 0 && *wait <= hook::kRetryAfterMaxMs));
  if (!good) return;
  const hook::Reply reply = reader.finish(200, kNow);
  if (reply.outcome == hook::Outcome::Malformed) BG_ASSERT(reader.error()[0] != '\0');
  for (const auto& [name, value] : reply.fields) BG_ASSERT(http::is_token(name) && http::is_field_value(value));
  if (reply.accepted()) check_actions(reply.actions);
}

}  // namespace beamgate::fuzz
