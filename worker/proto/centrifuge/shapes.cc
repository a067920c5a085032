#include "worker/proto/centrifuge/shapes.h"

#include <algorithm>

#include "common/crypto/crypto.h"
#include "common/json/value.h"
#include "worker/record/uid.h"

namespace beamgate::proto::centrifuge {
namespace {

// Between the tokens of JSON a newline means nothing, and within them it can't be.
void append_line(std::string& out, std::string_view json) {
  const size_t begin = out.size();
  out += json;
  out.erase(std::remove(out.begin() + static_cast<ptrdiff_t>(begin), out.end(), '\n'), out.end());
}

// First of all a look at how it begins: most text is none.
bool is_json(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return false;
  if (std::string_view("{[\"-0123456789tfn").find(text[first]) == std::string_view::npos) return false;
  return json::parse(text, {.bytes = text.size()}).ok();
}

// How member_info() begins.
constexpr std::string_view kBoth = "{\"chan_info\":";

void append_info(std::string& out, std::string_view name, std::string_view info) {
  json::append_string(out += ',', name);
  out += ':';
  append_line(out, info);
}

}  // namespace

void append_field(std::string& out, std::string_view name, std::string_view text) {
  json::append_string(out, name);
  out += ':';
  json::append_string(out, text);
}

void append_field(std::string& out, std::string_view name, uint64_t number) {
  json::append_string(out, name);
  out += ':';
  out += std::to_string(number);
}

void append_data(std::string& out, ipc::PayloadKind kind, std::string_view payload) {
  if (kind == ipc::PayloadKind::Binary) return json::append_string(out, crypto::base64_encode(payload));
  if (kind == ipc::PayloadKind::Json || is_json(payload)) return append_line(out, payload);
  json::append_string(out, payload);
}

void append_publication(std::string& out, ipc::PayloadKind kind, std::string_view payload, const ipc::Origin& origin,
                        uint64_t offset, std::string_view source) {
  out += "{\"data\":";
  append_data(out, kind, payload);
  if (offset != 0) append_field(out += ',', "offset", offset);
  if (!origin.event.empty() || !source.empty()) {
    out += ",\"tags\":{";
    if (!source.empty()) append_field(out, "channel", source);
    if (!origin.event.empty()) append_field(source.empty() ? out : out += ',', "event", origin.event);
    out += '}';
  }
  if (origin.sender != 0) {
    out += ",\"info\":{";
    append_field(out, "client", record::format_uid(origin.sender));
    append_field(out += ',', "user", origin.user);
    out += '}';
  }
  out += '}';
}

void append_publications(std::string& out, const std::vector<ipc::Past>& publications) {
  out += '[';
  for (const ipc::Past& past : publications) {
    if (&past != publications.data()) out += ',';
    append_publication(out, past.payload_kind, past.payload, past.origin, past.offset);
  }
  out += ']';
}

std::string member_info(std::string_view conn_info, std::string_view chan_info) {
  if (chan_info.empty()) return std::string(conn_info);
  std::string both = std::string(kBoth).append(chan_info);
  if (!conn_info.empty()) both.append(",\"conn_info\":").append(conn_info);
  return both += '}';
}

void append_client(std::string& out, const ipc::Member& member) {
  out += '{';
  const std::string client = record::format_uid(member.uid);
  append_field(out, "client", client);
  const bool anonymous = member.user == client;  // As ChannelPolicy::prepare() has it.
  append_field(out += ',', "user", anonymous ? std::string_view() : member.user);
  const auto both = member.info.starts_with(kBoth) ? json::parse(member.info) : Result<json::Value>(json::Value());
  if (both.ok() && both.value().is_object()) {
    for (const auto& [name, info] : *both.value().as_object()) append_info(out, name, info.dump());
  } else if (!member.info.empty()) {
    append_info(out, "conn_info", member.info);
  }
  out += '}';
}

void append_members(std::string& out, const std::vector<ipc::Member>& members) {
  out += '{';
  for (const ipc::Member& member : members) {
    if (&member != members.data()) out += ',';
    json::append_string(out, record::format_uid(member.uid));
    out += ':';
    append_client(out, member);
  }
  out += '}';
}

}  // namespace beamgate::proto::centrifuge
