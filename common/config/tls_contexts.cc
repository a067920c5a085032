#include "common/config/tls_contexts.h"

#include <map>

#include "common/tls/client_context.h"
#include "common/tls/server_context.h"

namespace beamgate::config {

void report(Loader& loader, Position at, const std::vector<tls::Problem>& problems) {
  for (const tls::Problem& problem : problems) {
    const auto named = loader.files_at.find(problem.path);
    const Position where = named == loader.files_at.end() ? at : named->second;
    if (problem.warning) {
      loader.diagnostics.warn(where, problem.text);
    } else {
      loader.diagnostics.error(where, problem.text);
    }
  }
}

void make_tls(Setting& setting, Server& server) {
  const tls::ServerSettings& settings = server.tls_settings;
  const Position at = setting.statement.name.at;
  if (settings.certificates.size() > settings.keys.size()) {
    return setting.error("no \"ssl_certificate_key\" is defined for certificate \"" +
                         settings.certificates[settings.keys.size()].path + "\"");
  }
  if (settings.keys.size() > settings.certificates.size()) {
    return setting.error("no \"ssl_certificate\" is defined for key \"" +
                         settings.keys[settings.certificates.size()].path + "\"");
  }
  const bool needs_ca = settings.verify == tls::Verify::On || settings.verify == tls::Verify::Optional;
  if (needs_ca && !settings.client_ca.named() && !settings.trusted_ca.named()) {
    return setting.error("no \"ssl_client_certificate\" or \"ssl_trusted_certificate\" for \"ssl_verify_client\"");
  }
  if (settings.stapling && !settings.staple.named()) {
    setting.warn_at(at, "\"ssl_stapling\" does nothing without \"ssl_stapling_file\"");
  }
  if (settings.certificates.empty() && !settings.reject_handshake) return;
  std::vector<tls::Problem> problems;
  server.tls = tls::ServerContext::make(settings, problems);
  report(setting.loader, at, problems);
}

void make_proxy_tls(Setting& setting, ProxyAction& proxy) {
  if (!proxy.https) return;
  const tls::ClientSettings& settings = proxy.tls_settings;
  if (settings.certificate.named() != settings.key.named()) {
    return setting.error("\"proxy_ssl_certificate\" and \"proxy_ssl_certificate_key\" belong together");
  }
  std::vector<tls::Problem> problems;
  proxy.tls = tls::ClientContext::make(settings, problems);
  report(setting.loader, setting.statement.name.at, problems);
}

void check_tls_listens(const Http& http, Loader& loader) {
  const auto complain = [&loader](const Listen& listen) {
    const auto place = loader.tls_at.find(listen.address.text);
    loader.diagnostics.error(place == loader.tls_at.end() ? Position() : place->second,
                             "no \"ssl_certificate\" is defined for the \"listen ... ssl\" of " + listen.address.text);
  };
  std::map<std::string, const Server*> defaults;
  for (const Server& server : http.servers) {
    for (const Listen& listen : server.listens) {
      const Server*& chosen = defaults[listen.address.text];
      if (listen.tls && (chosen == nullptr || listen.default_server)) chosen = &server;
    }
  }
  for (const Server& server : http.servers) {
    for (const Listen& listen : server.listens) {
      const Server* chosen = defaults[listen.address.text];
      if (!listen.tls || (chosen != &server && chosen->tls != nullptr && !chosen->tls->rejects())) continue;
      if (server.tls == nullptr) complain(listen);
    }
  }
}

}  // namespace beamgate::config
