#include "common/config/tls_contexts.h"

#include <algorithm>
#include <initializer_list>
#include <map>

#include "common/tls/client_context.h"
#include "common/tls/server_context.h"

namespace beamgate::config {
namespace {

// One of them could not be read: that is said already, and whatever else is wrong may be so because of it.
bool lacks_any(const Loader& loader, std::initializer_list<const tls::File*> files) {
  return std::any_of(files.begin(), files.end(), [&](const tls::File* file) { return loader.unread_files.contains(file->path); });
}

bool lacks_file(const Loader& loader, const tls::ServerSettings& settings) {
  const auto unread = [&](const tls::File& file) { return lacks_any(loader, {&file}); };
  return std::any_of(settings.certificates.begin(), settings.certificates.end(), unread) ||
         std::any_of(settings.keys.begin(), settings.keys.end(), unread) ||
         lacks_any(loader, {&settings.client_ca, &settings.trusted_ca, &settings.crl, &settings.dh_parameters, &settings.staple});
}

}  // namespace

void report(Loader& loader, Position at, const std::vector<tls::Problem>& problems) {
  for (const tls::Problem& problem : problems) {
    Position where = at;
    for (const auto* places : {&loader.files_at, &loader.words_at}) {
      const auto named = places->find(problem.path);
      if (named != places->end() && named->second.line != 0) where = named->second;
    }
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
  if (lacks_file(setting.loader, settings)) return;
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
  if (lacks_any(setting.loader, {&settings.trusted_ca, &settings.crl, &settings.certificate, &settings.key})) return;
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
