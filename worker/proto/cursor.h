// Cursor: how far a client is in its channels, as one word that it brings back when it comes again.
//
// Form     "epoch:offset" for one channel.  For several, "HHHHHHHH-epoch:offset" for each, with commas between them;
//          HHHHHHHH is a hash of the channel's name in hex.  What happens to be the hash of two channels of one client
//          is of no use to either: what isn't known for sure is not known.  Of a cursor of several channels each of them
//          may be asked for, alone or among others.
// Limits   kChannelsMax places.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::proto {

// Up to where a client has a channel's publications.
struct Reached {
  std::string_view channel;
  std::string_view epoch;
  uint64_t offset = 0;
};

class Cursor {
 public:
  static constexpr size_t kChannelsMax = 64;

  // Nothing: this is no cursor of these channels.
  static std::optional<Cursor> parse(std::string_view text, std::span<const std::string> channels);

  // Nothing: the cursor doesn't know this channel.  Views into parse()'s text and channels.
  std::optional<Reached> of(std::string_view channel) const;

 private:
  std::vector<Reached> places_;
};

std::string write_cursor(std::span<const Reached> places);

// "epoch:offset"; nothing for anything else.
std::optional<Reached> parse_place(std::string_view text);
std::string write_place(std::string_view epoch, uint64_t offset);

}  // namespace beamgate::proto
