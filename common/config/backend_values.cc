#include "common/config/backend_values.h"

#include <algorithm>

#include "common/config/field.h"
#include "common/config/loader.h"
#include "common/config/network.h"

namespace beamgate::config {
namespace {

struct NextWord {
  std::string_view word;
  NextUpstream bit;
};

constexpr NextWord kNextWords[] = {
    {"error", kNextError},       {"timeout", kNextTimeout}, {"invalid_header", kNextInvalidHeader},
    {"http_500", kNext500},      {"http_502", kNext502},    {"http_503", kNext503},
    {"http_504", kNext504},      {"http_403", kNext403},    {"http_404", kNext404},
    {"http_429", kNext429},      {"non_idempotent", kNextNonIdempotent},
};

}  // namespace

bool has_port(const std::string& authority) {
  std::string host;
  std::optional<uint16_t> port;
  std::string error;
  return split_authority(authority, host, port, error) && port.has_value();
}

std::shared_ptr<const Upstream> find_upstream(Setting& setting, const std::string& authority, uint16_t default_port,
                                              std::string& error) {
  auto& upstreams = setting.loader.config->http.upstreams;
  if (const auto known = upstreams.find(authority); known != upstreams.end()) return known->second;
  if (default_port == 0 && !authority.starts_with("unix:") && !has_port(authority)) {
    error = "no port, and no upstream of this name";
    return nullptr;
  }
  std::vector<Address> addresses;
  if (!server_addresses(authority, default_port, setting.loader.names, addresses, error)) return nullptr;

  auto upstream = std::make_shared<Upstream>();
  upstream->name = authority;
  Frame frame;
  frame.scope = kUpstream;
  frame.upstream = upstream.get();
  setting.loader.set_fallbacks(frame);
  Statement block;
  block.name.text = "upstream";
  block.args.push_back({authority, {}});
  block.block = true;
  for (const Address& address : addresses) {
    upstream->servers.push_back({.address = address});
    Statement server;
    server.name.text = "server";
    server.args.push_back({address.text, {}});
    block.children.push_back(std::move(server));
  }
  setting.loader.implicit_upstreams.push_back(std::move(block));
  upstreams.emplace(authority, upstream);
  return upstream;
}

void read_next_upstream(Setting& setting, uint32_t& mask) {
  mask = 0;
  for (size_t i = 0; i < setting.count(); ++i) {
    if (setting.arg(i) == "off" && setting.count() == 1) return;
    const auto* found = std::find_if(std::begin(kNextWords), std::end(kNextWords),
                                     [&](const NextWord& next) { return next.word == setting.arg(i); });
    if (found == std::end(kNextWords)) {
      return setting.fail(i, "expected \"error\", \"timeout\", \"invalid_header\", \"http_500\", \"http_502\", "
                             "\"http_503\", \"http_504\", \"http_403\", \"http_404\", \"http_429\", "
                             "\"non_idempotent\", or \"off\" alone");
    }
    mask |= found->bit;
  }
}

void read_field_name(Setting& setting, std::vector<std::string>& to) {
  if (setting.first(setting.row.name)) to.clear();
  if (!is_token(setting.arg())) return setting.fail(0, "expected the name of an HTTP field");
  to.push_back(setting.arg());
}

}  // namespace beamgate::config
