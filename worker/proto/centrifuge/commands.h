// Commands: what a client asks for, out of the text of its frames.
//
// Format   One JSON object per line: {"id":N,"METHOD":{...}}.  {} answers a ping.  "send" isn't answered and has no id.
// Errors   Malformed: not JSON, not an object, no id where one is needed, or parameters that are no object; clients
//          don't do that, and what follows is not looked at.  A method that isn't known is Unknown, to be refused.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/json/value.h"

namespace beamgate::proto::centrifuge {

enum class Method : uint8_t {
  Unknown, Pong, Connect, Subscribe, Unsubscribe, Publish, Presence, PresenceStats, History, Rpc, Send, Refresh,
  SubRefresh,
};

std::string_view name_of(Method method);  // As on the wire: "presence_stats".

struct Command {
  uint64_t id = 0;
  Method method = Method::Unknown;
  json::Value params = json::Value::object();
  std::string_view text;  // Its line; borrows from the frame.

  std::string_view channel() const { return params.get_string("channel").value_or(""); }
};

class CommandReader {
 public:
  enum class Outcome : uint8_t { Command, End, Malformed };

  explicit CommandReader(std::string_view frame) : rest_(frame) {}

  Outcome next(Command& command);
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace beamgate::proto::centrifuge
