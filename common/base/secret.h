// Secret: a text that is overwritten in memory when it goes: destroyed, assigned to, or moved from.
//
// Owner      What holds keys and passwords as a value.  It is a std::string in all else.
// Limits     A string that grows leaves its old bytes behind: make it of its final length, or reserve() before.  What is
//            put together piece by piece is SecretBytes.
#pragma once

#include <cstring>
#include <memory>
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

// Memory that is overwritten whenever it is given back.
template <typename T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <typename U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}
  T* allocate(size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* at, size_t count) noexcept {
    explicit_bzero(at, count * sizeof(T));
    std::allocator<T>().deallocate(at, count);
  }
  friend bool operator==(const WipingAllocator&, const WipingAllocator&) { return true; }
};

// Bytes with secrets among them; what they have outgrown is overwritten too.  A few may be in the object itself: see
// that there is more.
using SecretBytes = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

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
