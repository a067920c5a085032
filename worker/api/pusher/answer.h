// Answer: what a call of Pusher's HTTP API ends with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/json/value.h"

namespace beamgate::api::pusher {

struct Answer {
  uint16_t status = 200;
  std::string body = "{}";  // JSON of a 200; else a text for people, as Pusher's servers have it.

  static Answer of(const json::Value& value) { return {200, value.dump()}; }
  static Answer failed(uint16_t status, std::string_view why) { return {status, std::string(why) + "\n"}; }
  static Answer busy() { return failed(503, "The bus is full; try again."); }
};

using Done = std::function<void(Answer&&)>;

// What "info" asks for.
struct Info {
  bool user_count = false;
  bool subscription_count = false;
  bool cache = false;

  bool any() const { return user_count || subscription_count || cache; }
};

// A list with commas; words that mean nothing are left out.
Info parse_info(std::string_view list);

}  // namespace beamgate::api::pusher
