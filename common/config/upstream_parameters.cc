#include "common/config/upstream_parameters.h"

#include <algorithm>
#include <optional>
#include <string>

#include "common/config/value.h"

namespace beamgate::config {
namespace {

constexpr uint64_t kCountMax = 1'000'000;
constexpr int64_t kTimeMax = 86'400'000;

// One word "name=value", with what it may be.
class Parameter {
 public:
  Parameter(Setting& setting, size_t i) : setting_(setting), i_(i), text_(setting.arg(i)) {}

  // True when this is the word's name; the value is what stands behind "=".
  bool named(std::string_view name) {
    if (text_.size() <= name.size() || !text_.starts_with(name) || text_[name.size()] != '=') return false;
    value_ = text_.substr(name.size() + 1);
    return true;
  }

  std::string_view value() const { return value_; }

  template <typename T>
  bool number(T& out, uint64_t min, uint64_t max) {
    const std::optional<uint64_t> parsed = parse_number(value_);
    if (!parsed.has_value() || *parsed < min || *parsed > max) {
      return refuse("a number from " + std::to_string(min) + " to " + std::to_string(max));
    }
    out = static_cast<T>(*parsed);
    return true;
  }

  bool time(int64_t& out, int64_t min_ms) {
    const std::optional<int64_t> parsed = parse_time_ms(value_);
    if (!parsed.has_value() || *parsed < min_ms || *parsed > kTimeMax) {
      return refuse("a time from " + std::to_string(min_ms) + "ms to 1d");
    }
    out = *parsed;
    return true;
  }

  bool refuse(const std::string& expected) {
    setting_.fail(i_, "expected " + expected);
    return false;
  }

 private:
  Setting& setting_;
  const size_t i_;
  const std::string_view text_;
  std::string_view value_;
};

bool read_status(Parameter& parameter, HealthCheck& check) {
  const std::string_view text = parameter.value();
  const size_t dash = text.find('-');
  const auto min = parse_number(text.substr(0, dash));
  const auto max = dash == std::string_view::npos ? min : parse_number(text.substr(dash + 1));
  if (!min.has_value() || !max.has_value() || *min < 200 || *max > 599 || *min > *max) {
    return parameter.refuse("a status, or two with \"-\" between them, from 200 to 599");
  }
  check.status_min = static_cast<uint16_t>(*min);
  check.status_max = static_cast<uint16_t>(*max);
  return true;
}

bool read_uri(Parameter& parameter, HealthCheck& check) {
  const std::string_view text = parameter.value();
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!text.starts_with('/') || !plain) return parameter.refuse("a URI that starts with \"/\"");
  check.uri = text;
  return true;
}

}  // namespace

bool read_server_parameter(Setting& setting, size_t i, UpstreamServer& server, bool& resolve) {
  Parameter parameter(setting, i);
  const std::string& text = setting.arg(i);
  if (text == "backup") return server.backup = true;
  if (text == "down") return server.down = true;
  if (text == "resolve") return resolve = true;
  if (parameter.named("weight")) return parameter.number(server.weight, 1, 65535);
  if (parameter.named("max_fails")) return parameter.number(server.max_fails, 0, kCountMax);
  if (parameter.named("max_conns")) return parameter.number(server.max_conns, 0, kCountMax);
  if (parameter.named("fail_timeout")) return parameter.time(server.fail_timeout_ms, 0);
  if (parameter.named("slow_start")) return parameter.time(server.slow_start_ms, 0);
  if (parameter.named("resolve") && !parameter.value().empty()) {  // As the dump says it.
    server.resolve = parameter.value();
    return resolve = true;
  }
  return parameter.refuse(
      "\"weight=\", \"max_conns=\", \"max_fails=\", \"fail_timeout=\", \"slow_start=\", \"resolve\", \"backup\" or "
      "\"down\"; other parameters are not supported");
}

bool read_check_parameter(Setting& setting, size_t i, HealthCheck& check) {
  Parameter parameter(setting, i);
  if (setting.arg(i) == "fastcgi") return check.fastcgi = true;
  if (parameter.named("uri")) return read_uri(parameter, check);
  if (parameter.named("interval")) return parameter.time(check.interval_ms, 100);
  if (parameter.named("timeout")) return parameter.time(check.timeout_ms, 1);
  if (parameter.named("fails")) return parameter.number(check.fails, 1, kCountMax);
  if (parameter.named("passes")) return parameter.number(check.passes, 1, kCountMax);
  if (parameter.named("status")) return read_status(parameter, check);
  if (parameter.named("port")) return parameter.number(check.port, 1, 65535);
  return parameter.refuse(
      "\"uri=\", \"interval=\", \"timeout=\", \"fails=\", \"passes=\", \"status=\", \"port=\" or \"fastcgi\"; other "
      "parameters are not supported");
}

}  // namespace beamgate::config
