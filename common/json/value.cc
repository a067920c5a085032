#include "common/json/value.h"

#include <charconv>
#include <cmath>

#include "common/base/assert.h"
#include "common/base/utf8.h"

namespace beamgate::json {
namespace {

template <typename Number>
void append_number(std::string& out, Number number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number);
  out.append(text, end.ptr);
}

void append_escaped(std::string& out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    default: break;
  }
  out += "\\u00";
  out += kHex[static_cast<unsigned char>(c) >> 4];
  out += kHex[c & 15];
}

bool plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

}  // namespace

Value::Value(double value) {
  if (!std::isfinite(value)) return;  // JSON has no such number: null.
  std::string spelling;
  append_number(spelling, value);
  data_ = Spelled{std::move(spelling), value};
}

std::optional<bool> Value::as_bool() const {
  if (const bool* value = std::get_if<bool>(&data_)) return *value;
  return std::nullopt;
}

std::optional<int64_t> Value::as_int() const {
  if (const auto* value = std::get_if<int64_t>(&data_)) return *value;
  const auto* value = std::get_if<uint64_t>(&data_);
  if (value != nullptr && *value <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(*value);
  return std::nullopt;
}

std::optional<uint64_t> Value::as_uint() const {
  if (const auto* value = std::get_if<uint64_t>(&data_)) return *value;
  const auto* value = std::get_if<int64_t>(&data_);
  if (value != nullptr && *value >= 0) return static_cast<uint64_t>(*value);
  return std::nullopt;
}

std::optional<double> Value::as_double() const {
  if (const auto* value = std::get_if<Spelled>(&data_)) return value->value;
  if (const auto* value = std::get_if<int64_t>(&data_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&data_)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<std::string_view> Value::as_string() const {
  if (const auto* value = std::get_if<std::string>(&data_)) return std::string_view(*value);
  return std::nullopt;
}

const Value* Value::find(std::string_view key) const {
  const Object* members = as_object();
  if (members == nullptr) return nullptr;
  for (auto member = members->rbegin(); member != members->rend(); ++member) {
    if (member->first == key) return &member->second;
  }
  return nullptr;
}

std::optional<bool> Value::get_bool(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->as_bool();
}

std::optional<int64_t> Value::get_int(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->as_int();
}

std::optional<uint64_t> Value::get_uint(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->as_uint();
}

std::optional<std::string_view> Value::get_string(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? std::nullopt : value->as_string();
}

const Value::Array* Value::get_array(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? nullptr : value->as_array();
}

Value& Value::set(std::string_view key, Value value) {
  if (is_null()) data_ = Object{};
  BG_ASSERT(is_object());
  auto& members = std::get<Object>(data_);
  for (Member& member : members) {
    if (member.first == key) {
      member.second = std::move(value);
      return *this;
    }
  }
  members.emplace_back(std::string(key), std::move(value));
  return *this;
}

Value& Value::push(Value value) {
  if (is_null()) data_ = Array{};
  BG_ASSERT(is_array());
  std::get<Array>(data_).push_back(std::move(value));
  return *this;
}

std::string Value::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

void Value::dump_to(std::string& out) const {
  if (is_null()) {
    out += "null";
  } else if (const auto flag = as_bool()) {
    out += *flag ? "true" : "false";
  } else if (const auto* signed_number = std::get_if<int64_t>(&data_)) {
    append_number(out, *signed_number);
  } else if (const auto* number = std::get_if<uint64_t>(&data_)) {
    append_number(out, *number);
  } else if (const auto* spelled = std::get_if<Spelled>(&data_)) {
    out += spelled->text;
  } else if (const auto text = as_string()) {
    append_string(out, *text);
  } else if (const Array* items = as_array()) {
    out += '[';
    for (const Value& item : *items) {
      if (&item != items->data()) out += ',';
      item.dump_to(out);
    }
    out += ']';
  } else if (const Object* members = as_object()) {
    out += '{';
    for (const Member& member : *members) {
      if (&member != members->data()) out += ',';
      append_string(out, member.first);
      out += ':';
      member.second.dump_to(out);
    }
    out += '}';
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    size_t run = 0;
    while (run < text.size() && plain(text[run])) ++run;
    out.append(text.substr(0, run));
    text.remove_prefix(run);
    if (text.empty()) break;
    const size_t sequence = utf8_sequence_length(text);
    if (sequence == 0) {
      out += "\xef\xbf\xbd";
    } else if (sequence == 1) {
      append_escaped(out, text.front());
    } else {
      out.append(text.substr(0, sequence));
    }
    text.remove_prefix(sequence == 0 ? 1 : sequence);
  }
  out += '"';
}

}  // namespace beamgate::json
