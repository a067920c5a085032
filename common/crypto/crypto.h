// Crypto: digests, MACs, base64, randomness and constant-time comparison.
//
// This room is the only includer of OpenSSL headers outside TLS.  Everything returns raw bytes in a
// std::string unless its name says otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace beamgate::crypto {

std::string md5(std::string_view bytes);     // 16 bytes; only for body_md5 of Pusher's HTTP API.
std::string sha1(std::string_view bytes);    // 20 bytes; only for the WebSocket handshake (RFC 6455).
std::string sha256(std::string_view bytes);  // 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view bytes);  // 32 bytes.

std::string base64_encode(std::string_view bytes);                   // RFC 4648 section 4, with padding.
std::optional<std::string> base64_decode(std::string_view text);     // Strict; padding required.
std::string base64url_encode(std::string_view bytes);                // RFC 4648 section 5, without padding.
std::optional<std::string> base64url_decode(std::string_view text);  // Strict; without padding, one spelling only.

// Equal length and content; the time depends on the lengths only.
bool constant_time_equal(std::string_view a, std::string_view b);

void fill_random(void* to, size_t size);  // From the kernel; aborts if there is none.
uint64_t random_u64();

}  // namespace beamgate::crypto
