#include "common/config/app_channels.h"

#include "common/config/channel_rules.h"

namespace beamgate::config {
namespace {

// Nothing of a name that isn't a user's channel.
std::string_view user_part(std::string_view name) {
  return name.starts_with(kUserChannelPrefix) ? name.substr(0, kUserChannelPrefix.size()) : std::string_view();
}

}  // namespace

std::string channel_on_node(const App& app, std::string_view name) {
  const std::string_view front = user_part(name);
  return std::string(front).append(app.channel_prefix).append(name.substr(front.size()));
}

std::string user_on_node(const App& app, std::string_view user) { return app.channel_prefix + std::string(user); }

std::string_view app_prefix_of(const Http& http, std::string_view name) {
  name.remove_prefix(user_part(name).size());
  std::string_view longest;
  if (name.find('/') == std::string_view::npos) return longest;
  for (const auto& [each, app] : http.apps) {
    const std::string_view prefix = app->channel_prefix;
    if (prefix.size() > longest.size() && name.starts_with(prefix)) longest = prefix;
  }
  return longest;
}

std::string name_in_app(const Http& http, std::string_view name) {
  const std::string_view front = user_part(name);
  return std::string(front).append(name.substr(front.size() + app_prefix_of(http, name).size()));
}

}  // namespace beamgate::config
