#include "worker/api/arguments.h"

#include <optional>

namespace beamgate::api {
namespace {

const json::Value* find_given(const json::Value& params, std::string_view name) {
  const json::Value* given = params.find(name);
  return given == nullptr || given->is_null() ? nullptr : given;
}

template <typename T>
bool take(const std::optional<T>& given, T& out) {
  if (given) out = *given;
  return given.has_value();
}

}  // namespace

bool read_text(const json::Value& params, std::string_view name, std::string_view& out) {
  const json::Value* given = find_given(params, name);
  return given == nullptr || take(given->as_string(), out);
}

bool read_flag(const json::Value& params, std::string_view name, bool& out) {
  const json::Value* given = find_given(params, name);
  return given == nullptr || take(given->as_bool(), out);
}

bool read_number(const json::Value& params, std::string_view name, int64_t& out) {
  const json::Value* given = find_given(params, name);
  return given == nullptr || take(given->as_int(), out);
}

}  // namespace beamgate::api
