#include "worker/proto/pusher/channel_name.h"

#include <algorithm>

#include "common/config/channel_rules.h"
#include "worker/hub/hub.h"

namespace beamgate::pusher {
namespace {

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-=@,.;:").find(c) != std::string_view::npos;
}

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::string_view user_of_channel(std::string_view name) {
  return take(name, hub::kUserChannelPrefix) ? name : std::string_view();
}

std::optional<ChannelName> parse_channel(std::string_view name, size_t bytes_max) {
  if (!user_of_channel(name).empty()) {
    if (!hub::Hub::valid_channel(name)) return std::nullopt;
    return ChannelName{ChannelKind::User, false};
  }
  if (name.empty() || name.size() > bytes_max) return std::nullopt;
  if (!std::all_of(name.begin(), name.end(), name_character)) return std::nullopt;
  ChannelName out;
  if (take(name, "private-encrypted-")) {
    out.kind = ChannelKind::Encrypted;
  } else if (take(name, "private-")) {
    out.kind = ChannelKind::Private;
  } else if (take(name, config::kPresencePrefix)) {
    out.kind = ChannelKind::Presence;
  }
  out.cache = name.starts_with("cache-");
  return out;
}

}  // namespace beamgate::pusher
