// Reply reader: gathers a reply's head and body within limits and turns it into a Reply.
//
// Owner      One per call.
// Limits     kHeadBytesMax for all header fields, body_max for the body; the answer false means "stop".
// Trust      The application is trusted for decisions, not for size or syntax.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/hook/actions.h"
#include "worker/hook/grip_session.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

class ReplyReader {
 public:
  static constexpr size_t kHeadBytesMax = 64 << 10;

  explicit ReplyReader(uint64_t body_max) : body_max_(body_max) {}

  // The call speaks GRIP: so its answer is read.
  void expect_grip(GripState state, bool opening) {
    grip_ = std::move(state);
    grip_opening_ = opening;
  }

  // The call tells and does not ask: of its answer the status alone counts.
  void expect_nothing() { status_only_ = true; }
  bool status_only() const { return status_only_; }

  // One line of a head, its end included.  A status line begins anew: 1xx answers come before the real one.
  [[nodiscard]] bool on_head_line(std::string_view line);
  [[nodiscard]] bool on_body(std::string_view bytes);
  bool too_big() const { return too_big_; }

  // The answer to a call that was answered completely; a 2xx whose actions can't be understood becomes
  // Malformed, and error() says why.
  Reply finish(uint16_t status, int64_t now_unix_ms);
  const char* error() const { return error_; }

 private:
  void keep(std::string_view name, std::string_view value);
  Result<Actions> actions_of(const Reply& reply) const;

  const uint64_t body_max_;
  size_t head_bytes_ = 0;
  bool too_big_ = false;
  Fields fields_;  // Those that mean something, in lower case.
  std::string body_;
  const char* error_ = "";
  std::optional<GripState> grip_;
  bool grip_opening_ = false;
  bool status_only_ = false;
  size_t body_bytes_ = 0;
};

}  // namespace beamgate::hook
