// Secret: a text that is overwritten in memory when it goes: destroyed, assigned to, or moved from.
//
// Owner      What holds keys and passwords as a value.  It is a std::string in all else.
// Limits     Copies are the matter of who makes them, and memory that is given back that of freed_memory.h: this is for
//            texts that are short enough to be within an object, and for memory that is used again.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

namespace beamgate {

// Overwrites all that the string has reserved, and empties it.
void wipe(std::string& text) noexcept;

class Secret : public std::string {
 public:
  Secret() = default;
  Secret(const char* text) : std::string(text) {}
  Secret(std::string text) : std::string(std::move(text)) { beamgate::wipe(text); }
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : std::string(std::move(static_cast<std::string&>(other))) { beamgate::wipe(other); }
  ~Secret() { beamgate::wipe(*this); }
  Secret& operator=(Secret other) noexcept {
    swap(other);
    return *this;
  }
};

// Plain data that is overwritten when it goes.
template <typename T>
struct Wiped : T {
  static_assert(std::is_trivially_copyable_v<T>);
  Wiped() = default;
  Wiped(const T& from) : T(from) {}
  Wiped(const Wiped&) = default;
  Wiped& operator=(const Wiped&) = default;
  ~Wiped() { explicit_bzero(static_cast<T*>(this), sizeof(T)); }
};

}  // namespace beamgate
