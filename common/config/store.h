// Store: the setters that most rows need; each writes one member, found by its path from the frame's object.
//
// Usage   .set = store_bytes<&Location::websocket, &WebSocketAction::message_bytes_max>
// Errors  A value outside of the row's range, or of the wrong kind, fails with the range in the message.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include "common/base/assert.h"
#include "common/config/loader.h"
#include "common/config/setting.h"
#include "common/config/value.h"

namespace beamgate::config {

template <typename T>
struct MemberOf;
template <typename Class, typename Field>
struct MemberOf<Field Class::*> {
  using type = Class;
};

// The object of a type that the block's directives write to.
template <typename T>
T& target(Setting& setting) {
  T* found = nullptr;
  if constexpr (std::is_same_v<T, Config>) found = setting.loader.config.get();
  if constexpr (std::is_same_v<T, Http>) found = &setting.loader.config->http;
  if constexpr (std::is_same_v<T, Server>) found = setting.frame.server;
  if constexpr (std::is_same_v<T, Location>) found = setting.frame.location;
  if constexpr (std::is_same_v<T, Upstream>) found = setting.frame.upstream;
  if constexpr (std::is_same_v<T, Webhook>) found = setting.frame.webhook;
  if constexpr (std::is_same_v<T, App>) found = setting.frame.app;
  if constexpr (std::is_same_v<T, ChannelRules>) found = setting.frame.channels;
  if constexpr (std::is_same_v<T, TokenRules>) found = setting.frame.token;
  if constexpr (std::is_same_v<T, LineServer>) found = setting.frame.line;
  BG_ASSERT(found != nullptr);
  return *found;
}

// The member that a path of member pointers leads to.
template <auto First, auto... Rest>
auto& reach(Setting& setting) {
  auto& object = target<typename MemberOf<decltype(First)>::type>(setting);
  return ((object.*First).*....*Rest);
}

// "expected <kind> from <min> to <max>"; the row's bounds as it writes them.
inline std::string expected_range(const Directive& row, std::string_view kind) {
  std::string out = "expected " + std::string(kind);
  if (!row.min.empty()) out += " from " + std::string(row.min) + " to " + std::string(row.max);
  return out;
}

template <auto... Path, typename Parse>
void store_ranged(Setting& setting, Parse parse, std::string_view kind) {
  auto& field = reach<Path...>(setting);
  const auto value = parse(setting.arg());
  const auto min = parse(setting.row.min);
  const auto max = parse(setting.row.max);
  BG_ASSERT(min.has_value() && max.has_value());
  if (!value.has_value() || *value < *min || *value > *max) {
    return setting.fail(0, expected_range(setting.row, kind));
  }
  field = static_cast<std::remove_reference_t<decltype(field)>>(*value);
}

template <auto... Path>
void store_number(Setting& setting) {
  store_ranged<Path...>(setting, parse_number, "a number");
}

template <auto... Path>
void store_bytes(Setting& setting) {
  store_ranged<Path...>(setting, parse_size, "a size");
}

template <auto... Path>
void store_time(Setting& setting) {
  store_ranged<Path...>(setting, parse_time_ms, "a time");
}

// "on" or "off"; false, with an error, for anything else.
inline bool read_flag(Setting& setting, bool& out) {
  if (setting.arg() != "on" && setting.arg() != "off") {
    setting.fail(0, "expected \"on\" or \"off\"");
    return false;
  }
  out = setting.arg() == "on";
  return true;
}

template <auto... Path>
void store_flag(Setting& setting) {
  read_flag(setting, reach<Path...>(setting));
}

template <auto... Path>
void store_word(Setting& setting) {
  reach<Path...>(setting) = setting.arg();
}

template <auto... Path>
void store_path(Setting& setting) {
  reach<Path...>(setting) = setting.path(0);
}

// A list of words; the first directive of a block replaces what was inherited.
template <auto... Path>
void store_words(Setting& setting) {
  auto& list = reach<Path...>(setting);
  if (setting.first(setting.row.name)) list.clear();
  for (size_t i = 0; i < setting.count(); ++i) list.push_back(setting.arg(i));
}

}  // namespace beamgate::config
