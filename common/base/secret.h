// Secret: a text that is overwritten in memory when it goes: destroyed, assigned to, or moved from.
//
// Owner      What holds keys and passwords as a value.  It is a std::string in all else.
// Limits     A string that grows leaves its old bytes behind: make it of its final length, or reserve() before.
#pragma once

#include <string>
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

}  // namespace beamgate
