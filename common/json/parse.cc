// Parsing: nlohmann's lexer and grammar through its event interface, which neither throws nor recurses.
#include <nlohmann/json.hpp>

#include "common/json/value.h"

namespace beamgate::json {

// Builds a Value from parser events; stops the parser when a limit is reached.
class Builder {
 public:
  explicit Builder(const Limits& limits) : limits_(limits) {}

  bool null() { return add(Value()) != nullptr; }
  bool boolean(bool value) { return add(Value(value)) != nullptr; }
  bool number_integer(int64_t value) { return add(Value(value)) != nullptr; }
  bool number_unsigned(uint64_t value) { return add(Value(value)) != nullptr; }
  bool number_float(double value, const std::string& spelling) {
    return add(Value::number(spelling, value)) != nullptr;
  }
  bool string(std::string& value) { return add(Value(std::move(value))) != nullptr; }
  bool binary(nlohmann::json::binary_t&) { return false; }  // Not in JSON.
  bool start_object(size_t) { return open(Value::object()); }
  bool start_array(size_t) { return open(Value::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) { return false; }

  bool over_limit() const { return over_limit_; }
  Value take() { return std::move(root_); }

 private:
  // Only the innermost container grows, so the pointers in open_ stay good.
  Value* add(Value&& value) {
    if (++values_ > limits_.values) {
      over_limit_ = true;
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Value& parent = *open_.back();
    if (auto* items = std::get_if<Value::Array>(&parent.data_)) return &items->emplace_back(std::move(value));
    auto& members = std::get<Value::Object>(parent.data_);
    return &members.emplace_back(std::move(key_), std::move(value)).second;
  }

  bool open(Value&& container) {
    if (open_.size() >= limits_.depth) {
      over_limit_ = true;
      return false;
    }
    Value* added = add(std::move(container));
    if (added == nullptr) return false;
    open_.push_back(added);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const Limits limits_;
  Value root_;
  std::vector<Value*> open_;
  std::string key_;
  size_t values_ = 0;
  bool over_limit_ = false;
};

Result<Value> parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes) return Error{Code::LimitReached, 0, "JSON text too long"};
  // nlohmann skips a byte order mark; RFC 8259 section 8.1 lets a parser refuse it.
  if (text.starts_with("\xef\xbb\xbf")) return Error{Code::Invalid, 0, "not JSON"};
  // To nlohmann a zero byte is the end of the text, whatever is behind it.
  if (text.find('\0') != text.npos) return Error{Code::Invalid, 0, "not JSON"};
  Builder builder(limits);
  if (nlohmann::json::sax_parse(text, &builder, nlohmann::json::input_format_t::json, true)) return builder.take();
  if (builder.over_limit()) return Error{Code::LimitReached, 0, "JSON nested too deeply or too many values"};
  return Error{Code::Invalid, 0, "not JSON"};
}

}  // namespace beamgate::json
