// Value: one JSON value, parsed or built.
//
// Owner      A plain value; it owns everything below it.
// Limits     parse() refuses text above Limits, so that a hostile text can cost neither stack nor memory.
// Errors     Nothing throws.  Getters answer "is it that?" with an empty optional or null, never with a
//            conversion: "1" is no number and 1.5 no integer.
// Fidelity   Objects keep their order, numbers that are no 64-bit integers keep their spelling, so that data
//            which only passes through comes out as it came in.  Of a repeated key the last one counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace beamgate::json {

struct Limits {
  size_t bytes = size_t{8} << 20;
  size_t depth = 64;        // Arrays and objects within each other.
  size_t values = 200'000;  // In the whole text; each costs 48 bytes and more, but may take 2 of text.
};

class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;

  Value() = default;  // null
  Value(std::nullptr_t) {}                                                         // NOLINT: implicit by design
  Value(bool value) : data_(value) {}                                              // NOLINT
  Value(int value) : data_(int64_t{value}) {}                                      // NOLINT
  Value(unsigned value) : data_(uint64_t{value}) {}                                // NOLINT
  Value(int64_t value) : data_(value) {}                                           // NOLINT
  Value(uint64_t value) : data_(value) {}                                          // NOLINT
  Value(double value);                                                             // NOLINT
  Value(const char* value) : data_(std::string(value)) {}                          // NOLINT
  Value(std::string_view value) : data_(std::string(value)) {}                     // NOLINT
  Value(std::string value) : data_(std::move(value)) {}                            // NOLINT
  static Value array() { return Value(Array{}); }
  static Value object() { return Value(Object{}); }
  explicit Value(Array items) : data_(std::move(items)) {}
  explicit Value(Object members) : data_(std::move(members)) {}
  // A number in JSON's own spelling.
  static Value number(std::string spelling, double value) { return Value(Spelled{std::move(spelling), value}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }

  std::optional<bool> as_bool() const;
  std::optional<int64_t> as_int() const;
  std::optional<uint64_t> as_uint() const;
  std::optional<double> as_double() const;  // Any number.
  std::optional<std::string_view> as_string() const;
  const Array* as_array() const { return std::get_if<Array>(&data_); }
  const Object* as_object() const { return std::get_if<Object>(&data_); }

  // A member of an object; null when this is none or has none of that name.
  const Value* find(std::string_view key) const;
  // The same with a type; empty also when the member has another type: see has() to tell apart.
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<int64_t> get_int(std::string_view key) const;
  std::optional<uint64_t> get_uint(std::string_view key) const;
  std::optional<std::string_view> get_string(std::string_view key) const;
  const Array* get_array(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Building.  set() makes an object of null, push() an array; on anything else they are a bug.
  Value& set(std::string_view key, Value value);  // Replaces; returns *this.
  Value& push(Value value);                       // Returns *this.

  // Without white space.  Bytes that are no UTF-8 become U+FFFD.
  std::string dump() const;
  void dump_to(std::string& out) const;

 private:
  friend class Builder;
  struct Spelled {
    std::string text;
    double value = 0;
  };
  explicit Value(Spelled spelled) : data_(std::move(spelled)) {}

  std::variant<std::monostate, bool, int64_t, uint64_t, Spelled, std::string, Array, Object> data_;
};

// RFC 8259, strict: no comments, no trailing commas, UTF-8 only, nothing behind the value.
Result<Value> parse(std::string_view text, const Limits& limits = {});

// Appends `text` as a JSON string, quotes included; bytes that are no UTF-8 become U+FFFD.
void append_string(std::string& out, std::string_view text);

}  // namespace beamgate::json
