// Grammar: the character classes of HTTP (RFC 9110 section 5.6, RFC 3986 section 2).
#pragma once

#include <string>
#include <string_view>

namespace beamgate::http {

// tchar: what methods and field names are made of.
bool is_token_char(char c);
bool is_token(std::string_view text);

// What may stand in a field value: visible characters, space, tab and bytes above 127.
inline bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}
bool is_field_value(std::string_view text);

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// 0 to 15, or -1.
int hex_value(char c);

// Whether a comma-separated field value ("keep-alive, Upgrade") has this member; case-insensitive.
bool list_contains(std::string_view list, std::string_view member);

// Percent-decodes; a "%" that no two hex digits follow stays as it is.
std::string percent_decode(std::string_view text, bool plus_is_space);

}  // namespace beamgate::http
