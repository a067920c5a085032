#include "worker/http/forwarded.h"

#include <sys/socket.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/http/client_address.h"
#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

// One token or quoted string at text[at]; at moves behind it.
bool take_value(std::string_view text, size_t& at, std::string& out) {
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && ++at == text.size()) return false;
      out += text[at];
    }
    return at++ < text.size();
  }
  // Ports and IPv6 addresses belong into quotes, but are often seen without them.
  const size_t begin = at;
  while (at < text.size() && (is_token_char(text[at]) || std::string_view("[]:").find(text[at]) != std::string_view::npos)) ++at;
  out = text.substr(begin, at - begin);
  return at > begin;
}

void skip_space(std::string_view text, size_t& at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
}

// "for=a;proto=b".
bool read_element(std::string_view text, std::string& node) {
  for (size_t at = 0;;) {
    skip_space(text, at);
    if (at == text.size()) return true;
    const size_t begin = at;
    while (at < text.size() && is_token_char(text[at])) ++at;
    const std::string_view name = text.substr(begin, at - begin);
    if (name.empty() || at == text.size() || text[at] != '=') return false;
    std::string value;
    if (!take_value(text, ++at, value)) return false;
    if (iequals(name, "for")) node = std::move(value);
    skip_space(text, at);
    if (at < text.size() && text[at++] != ';') return false;
  }
}

std::vector<std::string> list_members(std::string_view list) {
  std::vector<std::string> out;
  for (;;) {
    const size_t comma = std::min(list.find(','), list.size());
    out.emplace_back(trim(list.substr(0, comma)));
    if (comma == list.size()) return out;
    list.remove_prefix(comma + 1);
  }
}

// nginx's: the last address, or with recursion the last that is not trusted, the first when all are.  Stops at what is
// no address.
ClientAddress nearest(const std::vector<std::string>& chain, const config::RealIp& real_ip, const ClientAddress& peer) {
  ClientAddress current = peer;
  for (auto member = chain.rbegin(); member != chain.rend(); ++member) {
    if (!ClientAddress::parse(*member, current)) break;
    if (!real_ip.recursive || !is_trusted(real_ip.trusted, current)) break;
  }
  return current;
}

// A node that is no plain token has to be quoted (RFC 7239 section 6).
std::string node_text(const ClientAddress& address) {
  if (address.family == AF_INET) return address.text();
  if (address.family == AF_INET6) return "\"[" + address.text() + "]\"";
  return "unknown";
}

}  // namespace

std::string joined_fields(const Request& request, std::string_view name) {
  std::string out;
  for (const Field& field : request.fields) {
    if (!iequals(field.name, name) || field.value.empty()) continue;
    if (!out.empty()) out += ", ";
    out += field.value;
  }
  return out;
}

std::vector<std::string> forwarded_nodes(std::string_view list) {
  std::vector<std::string> out = list_members(list);
  for (std::string& member : out) {
    std::string node;
    member = read_element(member, node) ? node : std::string();
  }
  return out;
}

ClientAddress real_client(const Request& request, const config::RealIp& real_ip, const ClientAddress& peer) {
  const std::string list = joined_fields(request, real_ip.header);
  if (list.empty()) return peer;
  return nearest(iequals(real_ip.header, "forwarded") ? forwarded_nodes(list) : list_members(list), real_ip, peer);
}

std::string forwarded_for(const Request& request, const record::Record& record) {
  if (!request.trusted_peer) return request.remote_address;
  std::string chain = joined_fields(request, "x-forwarded-for");
  const std::string peer = ClientAddress::of(record).text();
  if (chain.empty() && request.remote_address != peer) chain = request.remote_address;
  if (!chain.empty()) chain += ", ";
  return chain + peer;
}

std::string forwarded(const Request& request, const record::Record& record, std::string_view scheme) {
  std::string out = request.trusted_peer ? joined_fields(request, "forwarded") : std::string();
  ClientAddress client = ClientAddress::of(record);
  if (out.empty() && request.trusted_peer) ClientAddress::parse(request.remote_address, client);
  if (!out.empty()) out += ", ";
  out += "for=" + node_text(client) + ";proto=";
  out += scheme;
  const std::string_view host = request.field("host");
  if (host.empty()) return out;
  const bool plain = is_token(host);
  out += ";host=";
  if (!plain) out += '"';
  out += host;  // An authority: no quote and no backslash is in it.
  if (!plain) out += '"';
  return out;
}

}  // namespace beamgate::http
