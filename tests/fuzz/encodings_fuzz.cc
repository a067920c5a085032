// Encodings: base64 in both alphabets, percent-encoding in its three forms, hex and decimal: what is written is read as it
// was, and of each value only the one spelling is accepted.
#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "master/ctl/control_client.h"
#include "tests/fuzz/target.h"
#include "worker/hook/header_text.h"
#include "worker/http/grammar.h"
#include "worker/http/target.h"

namespace beamgate::fuzz {
namespace {

// Of RFC 4648, without any strictness: reads six bits a character until one is no digit of base64.
std::string loose_base64(std::string_view text, std::string_view alphabet) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = alphabet.find(c);
    if (digit == alphabet.npos) break;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// The last digit may have bits that belong to no byte, which RFC 4648 section 3.5 lets a decoder look away from.
bool same_but_for_last_bits(std::string_view a, std::string_view b) {
  const size_t padding = a.find('=');
  return a.size() == b.size() && padding != a.npos && padding == b.find('=') && padding > 0 &&
         a.substr(0, padding - 1) == b.substr(0, padding - 1);
}

template <typename Encode, typename Decode>
void check_base64(std::string_view bytes, std::string_view last_two, Encode encode, Decode decode) {
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + std::string(last_two);
  BG_ASSERT(decode(encode(bytes)) == std::string(bytes));
  const auto decoded = decode(bytes);
  const std::string loose = loose_base64(bytes, alphabet);
  BG_ASSERT(!decoded || encode(loose) == bytes || same_but_for_last_bits(encode(loose), bytes));
  if (encode(loose) == bytes) BG_ASSERT(decoded.has_value());
  if (decoded) BG_ASSERT(*decoded == loose);
}

void check_percent(std::string_view bytes) {
  BG_ASSERT(http::percent_decode(master::percent_encode(bytes), true) == bytes);
  BG_ASSERT(http::percent_decode(http::encode_path(bytes), false) == bytes);
  const std::string header = hook::percent_encode(bytes);
  for (const char c : header) BG_ASSERT(c >= 0x20 && c <= 0x7e);
  BG_ASSERT(hook::percent_decode(header) == std::string(bytes));
  const auto strict = hook::percent_decode(bytes);
  const std::string lenient = http::percent_decode(bytes, false);
  BG_ASSERT(lenient.size() <= bytes.size());
  if (strict) BG_ASSERT(*strict == lenient);
  if (bytes.find('%') == bytes.npos) BG_ASSERT(lenient == bytes);
}

void check_decimal(std::string_view bytes) {
  unsigned __int128 value = 0;
  bool good = !bytes.empty();
  for (const char c : bytes) {
    good = good && c >= '0' && c <= '9' && value <= UINT64_MAX;
    if (good) value = value * 10 + static_cast<unsigned>(c - '0');
  }
  uint64_t parsed = 0;
  BG_ASSERT(parse_decimal(bytes, parsed) == (good && value <= UINT64_MAX));
  if (good && value <= UINT64_MAX) BG_ASSERT(parsed == static_cast<uint64_t>(value));
}

}  // namespace

FUZZ_TARGET(encodings) {
  check_base64(bytes, "+/", crypto::base64_encode, crypto::base64_decode);
  check_base64(bytes, "-_", crypto::base64url_encode, crypto::base64url_decode);
  check_percent(bytes);
  check_decimal(bytes);
  const std::string hex = to_hex(bytes);
  BG_ASSERT(hex.size() == 2 * bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    BG_ASSERT((http::hex_value(hex[2 * i]) << 4 | http::hex_value(hex[2 * i + 1])) == static_cast<uint8_t>(bytes[i]));
  }
}

}  // namespace beamgate::fuzz
