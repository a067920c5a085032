#include "common/config/schema.h"
#include "common/config/tls_values.h"

namespace beamgate::config {
namespace {

constexpr Scopes kHttpServer = kHttp | kServer;
constexpr auto kTls = &Server::tls_settings;
using tls::ServerSettings;

void set_curves(Setting& setting) {
  static constexpr std::string_view kIntermediate = "X25519:prime256v1:secp384r1";
  std::string& groups = setting.frame.server->tls_settings.groups;
  groups = setting.arg() == "auto" ? kIntermediate : setting.arg();
  setting.loader.words_at[groups] = setting.at(0);
}

void add_ticket_key(Setting& setting) {
  std::vector<tls::TicketKey>& keys = setting.frame.server->tls_settings.ticket_keys;
  if (setting.first(setting.row.name)) keys.clear();
  tls::File file;
  if (!read_tls_file(setting, file)) return;
  const auto key = tls::parse_ticket_key(file.bytes);
  if (!key) return setting.fail(0, "the file must have 80 or 48 bytes");
  keys.push_back(*key);
}

// Sessions are in their tickets, so there is no cache; the directive is nginx's, and its forms are checked.
void check_session_cache(Setting& setting) {
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string& text = setting.arg(i);
    if (text == "off" || text == "none" || text == "builtin") continue;
    const bool builtin = text.starts_with("builtin:") && parse_number(std::string_view(text).substr(8)).has_value();
    const size_t size = text.rfind(':');
    const bool shared = text.starts_with("shared:") && size > 7 &&
                        parse_size(std::string_view(text).substr(size + 1)).has_value();
    if (!builtin && !shared) {
      return setting.fail(i, "expected \"off\", \"none\", \"builtin[:size]\" or \"shared:name:size\"");
    }
  }
}

void set_verify(Setting& setting) {
  static constexpr std::pair<std::string_view, tls::Verify> kWords[] = {
      {"off", tls::Verify::Off},
      {"on", tls::Verify::On},
      {"optional", tls::Verify::Optional},
      {"optional_no_ca", tls::Verify::OptionalNoCa}};
  for (const auto& [word, verify] : kWords) {
    if (setting.arg() != word) continue;
    setting.frame.server->tls_settings.verify = verify;
    return;
  }
  setting.fail(0, "expected \"on\", \"off\", \"optional\" or \"optional_no_ca\"");
}

void set_engine(Setting& setting) {
  if (setting.arg() != "movable" && setting.arg() != "openssl") {
    return setting.fail(0, "expected \"movable\" or \"openssl\"");
  }
  setting.frame.server->tls_settings.movable = setting.arg() == "movable";
}

void add_command(Setting& setting) {
  auto& commands = setting.frame.server->tls_settings.commands;
  if (setting.first(setting.row.name)) commands.clear();
  commands.emplace_back(setting.arg(0), setting.arg(1));
  setting.loader.words_at[setting.arg(0) + " " + setting.arg(1)] = setting.at(0);
}

constexpr Directive kRows[] = {
    {.name = "ssl_certificate",
     .scopes = kHttpServer,
     .repeatable = true,
     .set = add_tls_file<kTls, &ServerSettings::certificates>,
     .syntax = "file",
     .help = "A certificate in PEM, followed by those between it and its authority.  May be given several times for "
             "keys of several kinds (RSA and ECDSA); each goes with the ssl_certificate_key of its place.  Of several "
             "servers at an address, the client's name (SNI) chooses as server_name does.  Read anew at each reload: "
             "connections keep the one they began with."},
    {.name = "ssl_certificate_key",
     .scopes = kHttpServer,
     .repeatable = true,
     .set = add_tls_file<kTls, &ServerSettings::keys>,
     .syntax = "file",
     .help = "The certificate's key in PEM, without a passphrase.  Read by the master, so it may be readable by root "
             "alone."},
    {.name = "ssl_protocols",
     .scopes = kHttpServer,
     .arity = at_least(1),
     .set = store_protocols<kTls, &ServerSettings::protocols>,
     .syntax = "[TLSv1.2] [TLSv1.3]",
     .fallback = "TLSv1.2 TLSv1.3",
     .help = "Versions that are spoken.  Older ones are not supported."},
    {.name = "ssl_ciphers",
     .scopes = kHttpServer,
     .set = store_ciphers<kTls, &ServerSettings::ciphers>,
     .syntax = "list",
     .fallback = kTlsCiphers,
     .help = "Ciphers of TLS 1.2, in OpenSSL's syntax; those of TLS 1.3 are fixed, or set by ssl_conf_command "
             "Ciphersuites."},
    {.name = "ssl_prefer_server_ciphers",
     .scopes = kHttpServer,
     .set = store_flag<kTls, &ServerSettings::prefer_server_ciphers>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether the order of ssl_ciphers counts, not the client's."},
    {.name = "ssl_ecdh_curve",
     .scopes = kHttpServer,
     .set = set_curves,
     .syntax = "curve[:curve...] | auto",
     .fallback = "auto",
     .help = "Groups for the key exchange; auto is X25519:prime256v1:secp384r1."},
    {.name = "ssl_dhparam",
     .scopes = kHttpServer,
     .set = store_tls_file<kTls, &ServerSettings::dh_parameters>,
     .syntax = "file",
     .help = "DH parameters in PEM; without them no DHE cipher is used."},
    {.name = "ssl_conf_command",
     .scopes = kHttpServer,
     .arity = exactly(2),
     .repeatable = true,
     .set = add_command,
     .syntax = "name value",
     .help = "A command of OpenSSL's SSL_CONF_cmd(3), such as Ciphersuites."},
    {.name = "ssl_session_tickets",
     .scopes = kHttpServer,
     .set = store_flag<kTls, &ServerSettings::tickets>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether sessions are resumed with tickets.  Their keys are made by the master, shared by all workers, "
             "kept over reloads and upgrades, and replaced every 8 hours; the last four open tickets."},
    {.name = "ssl_session_ticket_key",
     .scopes = kHttpServer,
     .repeatable = true,
     .set = add_ticket_key,
     .syntax = "file",
     .help = "Keys for tickets instead of those the master makes, as several machines need to share them: a file of 80 "
             "or 48 random bytes.  The first seals new tickets, all open them."},
    {.name = "ssl_session_timeout",
     .scopes = kHttpServer,
     .set = store_time<kTls, &ServerSettings::session_timeout_ms>,
     .syntax = "time",
     .fallback = "5m",
     .min = "1s",
     .max = "1d",
     .help = "How long a session may be resumed; of an address, its default server's counts."},
    {.name = "ssl_session_cache",
     .scopes = kHttpServer,
     .arity = between(1, 2),
     .set = check_session_cache,
     .syntax = "off | none | [builtin[:size]] [shared:name:size]",
     .fallback = "none",
     .help = "Accepted for nginx's sake, without effect: a session is in its client's ticket, which any worker opens, "
             "so there is no cache.  Clients without tickets make a full handshake."},
    {.name = "ssl_handshake_timeout",
     .scopes = kHttpServer,
     .set = store_time<kTls, &ServerSettings::handshake_timeout_ms>,
     .syntax = "time",
     .fallback = "60s",
     .min = "1ms",
     .max = "1h",
     .help = "Time for a whole TLS handshake; client_header_timeout begins when it is done."},
    {.name = "ssl_reject_handshake",
     .scopes = kHttpServer,
     .set = store_flag<kTls, &ServerSettings::reject_handshake>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Refuses every handshake for the server with the alert unrecognized_name: for a default server that "
             "has no certificate of its own."},
    {.name = "tls_engine",
     .scopes = kHttpServer,
     .set = set_engine,
     .syntax = "movable | openssl",
     .fallback = "movable",
     .help = "Who seals and opens the records of TLS 1.3 once OpenSSL has made the handshake.  movable: the gateway, so "
             "that the connection outlives its worker as one without TLS does: upgrades, reloads and crashes.  openssl: "
             "OpenSSL, and the connection ends with its worker, as those with TLS 1.2 do."},
    {.name = "ssl_verify_client",
     .scopes = kHttpServer,
     .set = set_verify,
     .syntax = "on | off | optional | optional_no_ca",
     .fallback = "off",
     .help = "Whether clients are asked for a certificate.  Without one (on), or with one that is not trusted, requests "
             "are answered with 400; with optional_no_ca the application decides, by $ssl_client_verify.  A webhook is "
             "told in beamgate-client-verify, -subject, -issuer, -serial and -fingerprint."},
    {.name = "ssl_client_certificate",
     .scopes = kHttpServer,
     .set = store_tls_file<kTls, &ServerSettings::client_ca>,
     .syntax = "file",
     .help = "Authorities, in PEM, that clients' certificates are to come from; clients are told their names."},
    {.name = "ssl_trusted_certificate",
     .scopes = kHttpServer,
     .set = store_tls_file<kTls, &ServerSettings::trusted_ca>,
     .syntax = "file",
     .help = "The same, but clients are told no names."},
    {.name = "ssl_verify_depth",
     .scopes = kHttpServer,
     .set = store_number<kTls, &ServerSettings::verify_depth>,
     .syntax = "number",
     .fallback = "1",
     .min = "0",
     .max = "100",
     .help = "Most certificates between a client's and its authority."},
    {.name = "ssl_crl",
     .scopes = kHttpServer,
     .set = store_tls_file<kTls, &ServerSettings::crl>,
     .syntax = "file",
     .help = "Revoked certificates, in PEM; a list of each authority in a chain is needed."},
    {.name = "ssl_stapling",
     .scopes = kHttpServer,
     .set = store_flag<kTls, &ServerSettings::stapling>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether the OCSP response of ssl_stapling_file is sent; responders are not asked."},
    {.name = "ssl_stapling_file",
     .scopes = kHttpServer,
     .set = store_tls_file<kTls, &ServerSettings::staple>,
     .syntax = "file",
     .help = "An OCSP response, DER, as \"openssl ocsp -respout\" writes it; sent with the certificate it is for."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> ssl_directives() {
  return kRows;
}

}  // namespace beamgate::config
