// Result<T>: a value or an Error, for everything a peer, the network, a file or a child can cause.
//
// Errors   Error carries a code for decisions, errno for diagnosis and a static text for people.
//          No exception leaves a module; a Result must be looked at ([[nodiscard]]).
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/assert.h"

namespace beamgate {

enum class Code : uint8_t {
  Invalid,      // The input breaks its grammar or protocol.
  LimitReached, // A configured or built-in limit stands in the way.
  WouldBlock,   // Nothing to do right now; try again when the descriptor is ready.
  Closed,       // The peer ended the stream in an orderly way.
  NotFound,
  Denied,
  Timeout,
  Unavailable,  // The other side (backend, master, worker) can't serve now.
  System,       // A system call failed; see sys_errno.
};

struct Error {
  Code code = Code::System;
  int sys_errno = 0;
  const char* text = "";  // Static storage.

  // "text" or "text: strerror".
  std::string message() const {
    std::string out(text);
    if (sys_errno != 0) {
      out += ": ";
      out += strerror(sys_errno);
    }
    return out;
  }
};

// The Error of the system call that has just failed; reads errno.
inline Error system_error(const char* text) { return Error{Code::System, errno, text}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, error) {}         // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    BG_ASSERT(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    BG_ASSERT(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    BG_ASSERT(ok());
    return std::get<0>(std::move(state_));
  }
  const Error& error() const {
    BG_ASSERT(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(error) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    BG_ASSERT(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace beamgate
