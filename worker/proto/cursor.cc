#include "worker/proto/cursor.h"

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::proto {
namespace {

constexpr size_t kEpochBytesMax = 32;
constexpr size_t kHashDigits = 8;

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string hash_of(std::string_view channel) {
  char bytes[4];
  store_be(bytes, static_cast<uint32_t>(stable_hash(channel)));
  return to_hex({bytes, sizeof bytes});
}

}  // namespace

std::optional<Reached> parse_place(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == 0 || colon == text.npos || colon > kEpochBytesMax) return std::nullopt;
  Reached place{.channel = {}, .epoch = text.substr(0, colon)};
  if (!std::all_of(place.epoch.begin(), place.epoch.end(), is_alphanumeric)) return std::nullopt;
  if (!parse_decimal(text.substr(colon + 1), place.offset)) return std::nullopt;
  return place;
}

std::string write_place(std::string_view epoch, uint64_t offset) {
  return std::string(epoch).append(1, ':').append(std::to_string(offset));
}

std::optional<Cursor> Cursor::parse(std::string_view text, std::span<const std::string> channels) {
  Cursor cursor;
  if (const auto place = channels.size() == 1 ? parse_place(text) : std::nullopt) {
    cursor.places_.push_back({channels[0], place->epoch, place->offset});
    return cursor;
  }
  std::vector<std::string> hashes;
  for (const std::string& channel : channels) hashes.push_back(hash_of(channel));
  for (size_t places = 0; !text.empty(); ++places) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    if (places == kChannelsMax || word.size() <= kHashDigits || word[kHashDigits] != '-') return std::nullopt;
    const auto place = parse_place(word.substr(kHashDigits + 1));
    if (!place) return std::nullopt;
    const std::string_view hash = word.substr(0, kHashDigits);
    const auto first = std::find(hashes.begin(), hashes.end(), hash);
    if (first != hashes.end() && std::find(first + 1, hashes.end(), hash) == hashes.end()) {
      cursor.places_.push_back({channels[static_cast<size_t>(first - hashes.begin())], place->epoch, place->offset});
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  if (cursor.places_.empty()) return std::nullopt;
  return cursor;
}

std::optional<Reached> Cursor::of(std::string_view channel) const {
  for (const Reached& place : places_) {
    if (place.channel == channel) return place;
  }
  return std::nullopt;
}

std::string write_cursor(std::span<const Reached> places) {
  if (places.size() == 1) return write_place(places[0].epoch, places[0].offset);
  std::string out;
  for (const Reached& place : places) {
    if (!out.empty()) out += ',';
    out.append(hash_of(place.channel)).append(1, '-').append(write_place(place.epoch, place.offset));
  }
  return out;
}

}  // namespace beamgate::proto
