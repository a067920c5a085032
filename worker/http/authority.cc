#include "worker/http/authority.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

constexpr size_t kHostBytesMax = 255;

bool is_name_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

bool valid_name(std::string_view host) {
  return std::all_of(host.begin(), host.end(), is_name_char) && host[0] != '.' &&
         host.find("..") == host.npos;
}

// Not a full check of the address: only that nothing but an address can be meant.
bool valid_literal(std::string_view host) {
  const std::string_view inner = host.substr(1, host.size() - 2);
  return inner.size() >= 2 && inner.find(':') != inner.npos &&
         std::all_of(inner.begin(), inner.end(),
                     [](char c) { return hex_value(c) >= 0 || c == ':' || c == '.'; });
}

bool valid_port(std::string_view port) {
  uint64_t number = 0;
  return port.empty() || (port.size() <= 5 && parse_decimal(port, number) && number <= 65'535);
}

}  // namespace

bool parse_authority(std::string_view text, Authority& out) {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  const bool literal = text[0] == '[';
  size_t host_end = literal ? text.find(']') : std::min(text.find(':'), text.size());
  if (host_end == text.npos) return false;
  if (literal) ++host_end;
  const std::string_view rest = text.substr(host_end);
  if (!rest.empty() && rest[0] != ':') return false;
  out.host = to_lower(text.substr(0, host_end));
  out.port = rest.empty() ? rest : rest.substr(1);
  if (out.host.empty() || !valid_port(out.port)) return false;
  if (!(literal ? valid_literal(out.host) : valid_name(out.host))) return false;
  if (out.host.size() > 1 && out.host.back() == '.') out.host.pop_back();
  return true;
}

}  // namespace beamgate::http
