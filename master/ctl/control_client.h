// Control client: requests of "beamgate ctl" over the control socket of a running gateway.
//
// Owner      One per run of the command.
// Blocking   Everything; kAnswerSeconds for an answer, a tap until the gateway or the caller ends it.
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

  // A WebSocket of the gateway's that tells what happens.
  struct Tap {
    std::string_view target;
    std::string_view channel;  // Whose publications are wanted; may be empty.
    // Called when it is open and once a second then, with the connection's id where the gateway names it.  False ends it.
    std::function<bool(std::string_view connection)> on_second;
    // text: else it is binary.  False ends it.
    std::function<bool(bool text, std::string_view payload)> on_message;
  };
  // How the gateway has ended it; empty: on_second or on_message has.
  Result<std::string> tap(const Tap& tap) const;

 private:
  Result<UniqueFd> connect() const;
  Result<std::string> open_tap(int socket, const Tap& tap, std::string& connection) const;

  const std::string path_;
};

// As part of a target.
std::string percent_encode(std::string_view text);

}  // namespace beamgate::master
