#include "common/config/doubts.h"

#include <algorithm>

namespace beamgate::config {
namespace {

bool tells_its_id(const Location& location) {
  return std::any_of(location.add_headers.begin(), location.add_headers.end(), [](const NameValue& field) {
    const auto& parts = field.value.parts();
    return std::any_of(parts.begin(), parts.end(),
                       [](const Template::Part& part) { return part.variable && part.text == "connection_id"; });
  });
}

// Nothing that such a client sends goes anywhere, and nobody can mean it: it has no channel, no user, and doesn't know its id.
bool says_nothing(const Location& location) {
  const WebSocketAction& socket = location.websocket;
  return socket.mode == WebSocketAction::Mode::Raw && socket.webhook == nullptr && socket.publish.empty() && socket.subscribe.empty() &&
         socket.token == nullptr && !tells_its_id(location);
}

bool is_of_this_machine(const Listen& listen) {
  const std::string& text = listen.address.text;
  return text.starts_with("unix:") || text.starts_with("127.") || text.starts_with("[::1]");
}

bool is_open_to_others(const Server& server, const Location& location) {
  if (!location.api.keys.empty() || !location.access.empty()) return false;
  return !std::all_of(server.listens.begin(), server.listens.end(), is_of_this_machine);
}

// The name behind "@" of a target, which has to be known now; empty: it leads elsewhere, or a request decides.
std::string name_in(const Template& target) {
  const bool named = target.source().starts_with('@') && target.source().find('$') == std::string::npos;
  return named ? target.source() : std::string();
}

template <typename Visit>
void for_each_location(const Location& location, const Visit& visit) {
  visit(location);
  for (const Location& inner : location.locations) for_each_location(inner, visit);
  for (const Step& step : location.script) {
    if (step.location != nullptr) for_each_location(*step.location, visit);
  }
}

template <typename Visit>
void for_each_location(const Server& server, const Visit& visit) {
  for_each_location(server.fallback, visit);
  for (const Location& location : server.locations) for_each_location(location, visit);
}

// Whether a value of the template can be this name, whatever its variables say.
bool can_be(const Template& text, std::string_view name) {
  const std::vector<Template::Part>& parts = text.parts();
  size_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].variable) continue;
    const size_t found = i + 1 == parts.size() && name.size() >= parts[i].text.size() && name.ends_with(parts[i].text)
                             ? name.size() - parts[i].text.size()
                             : name.find(parts[i].text, at);
    if (found == name.npos || found < at || (i == 0 && found != 0)) return false;
    at = found + parts[i].text.size();
  }
  return parts.empty() || parts.back().variable || at == name.size();
}

void doubt_hosts(Loader& loader) {
  const auto& upstreams = loader.config->http.upstreams;
  for (const auto& [host, at] : loader.varied_hosts) {
    const bool leads = std::any_of(upstreams.begin(), upstreams.end(),
                                   [&host = host](const auto& upstream) { return can_be(host, upstream.first); });
    if (leads) continue;
    loader.diagnostics.warn(at, "\"" + host.source() + "\" is the name of no upstream, whatever a request says: it leads " +
                                    "to upstreams that the configuration names, and to nobody else");
  }
}

void doubt_tokens(Loader& loader) {
  const Http& http = loader.config->http;
  const auto said = loader.words_at.find("subscribe token");
  if (said == loader.words_at.end()) return;
  bool shown = false;
  for (const Server& server : http.servers) {
    for_each_location(server, [&shown](const Location& location) {
      shown = shown || location.websocket.token != nullptr || location.event_stream.token != nullptr ||
              location.long_poll.token != nullptr;
    });
  }
  if (shown) return;
  loader.diagnostics.warn(said->second, "\"subscribe token\" lets nobody in: no location has a \"websocket_token\", "
                                        "\"sse_token\" or \"longpoll_token\"");
}

}  // namespace

void doubt_location(Setting& setting, const Location& location) {
  const Position at = setting.statement.name.at;
  if (location.action == Action::WebSocket && says_nothing(location)) {
    setting.warn_at(at, "nothing comes of this \"websocket raw\": there is no webhook, websocket_publish, "
                        "websocket_subscribe or websocket_token");
  }
  const bool pusher = location.action == Action::WebSocket && location.websocket.mode == WebSocketAction::Mode::Pusher;
  if ((pusher || location.action == Action::PusherApi) && setting.loader.config->http.apps.empty()) {
    setting.warn_at(at, "Pusher's clients and servers are refused here: http has no \"app\" block");
  }
  const bool api = location.action == Action::Api || location.action == Action::GripPublish;
  if (api && is_open_to_others(*setting.frame.server, location)) {
    setting.warn_at(at, std::string("everybody may use this \"") + (location.action == Action::Api ? "api" : "grip_publish") +
                            "\": it has no api_key, allow or deny");
  }
}

void check_named_locations(Setting& setting, const Server& server) {
  Loader& loader = setting.loader;
  const auto check = [&](const Template& target) {
    const std::string name = name_in(target);
    if (name.empty()) return;
    const bool exists = std::any_of(server.locations.begin(), server.locations.end(), [&name](const Location& location) {
      return location.match == LocationMatch::Named && location.pattern == name;
    });
    const auto said = loader.words_at.find(name);
    if (exists || said == loader.words_at.end()) return;
    loader.diagnostics.warn(said->second, "there is no location \"" + name + "\" in the server at " +
                                               loader.place_of(setting.statement));
    loader.words_at.erase(said);  // Once is enough.
  };
  for_each_location(server, [&check](const Location& location) {
    check(location.try_files.elsewhere);
    for (const ErrorPage& page : location.error_pages) check(page.target);
  });
}

void doubt_whole(Loader& loader) {
  doubt_hosts(loader);
  doubt_tokens(loader);
}

}  // namespace beamgate::config
