// Control client: requests of "beamgate ctl" over the control socket of a running gateway.
//
// Owner      One per run of the command.
// Blocking   Everything; kAnswerSeconds for an answer, a tap waits for ever.
// Limits     kAnswerBytesMax of an answer, kFrameBytesMax of one tapped message.
// Source     RFC 9112 with one request per connection; RFC 6455 for the tap.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

class ControlClient {
 public:
  static constexpr int kAnswerSeconds = 30;
  static constexpr size_t kAnswerBytesMax = size_t{64} << 20;
  static constexpr size_t kFrameBytesMax = size_t{32} << 20;

  explicit ControlClient(std::string path) : path_(std::move(path)) {}

  struct Answer {
    int status = 0;
    std::string body;
  };
  Result<Answer> request(std::string_view method, std::string_view target, std::string_view body = {}) const;

  // Each message that is published to a channel, until the gateway ends it, or on_message says false.  text: else it is
  // binary.
  using OnMessage = std::function<bool(bool text, std::string_view payload)>;
  Result<void> tap(std::string_view channel, const OnMessage& on_message) const;

 private:
  Result<UniqueFd> connect() const;

  const std::string path_;
};

// As part of a target.
std::string percent_encode(std::string_view text);

}  // namespace beamgate::master
