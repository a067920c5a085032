// Bytes: fixed-width integers in a named byte order, hex, ASCII words and decimals, and a hash that is stable.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace beamgate {

static_assert(std::endian::native == std::endian::little, "records and frames assume a little-endian host");

template <typename T>
T load_le(const void* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void store_le(void* to, T value) {
  memcpy(to, &value, sizeof value);
}

template <typename T>
T byte_swap(T value) {
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
}

template <typename T>
T load_be(const void* from) {
  return byte_swap(load_le<T>(from));
}

template <typename T>
void store_be(void* to, T value) {
  store_le(to, byte_swap(value));
}

// ASCII only; HTTP field names and schemes are compared so (RFC 9110 section 5.1).
bool iequals(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);

// Removes spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
std::string_view trim(std::string_view text);

// Decimal without sign, space or overflow; false otherwise.
bool parse_decimal(std::string_view text, uint64_t& out);

std::string to_hex(std::string_view bytes);  // Lower case.

// FNV-1a, 64 bits: stable across processes and builds, for ids derived from names.  Not for hostile keys.
uint64_t stable_hash(std::string_view text);

}  // namespace beamgate
