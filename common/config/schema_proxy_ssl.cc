#include "common/config/schema.h"
#include "common/config/tls_values.h"

namespace beamgate::config {
namespace {

constexpr auto kProxy = &Location::proxy;
constexpr auto kTls = &ProxyAction::tls_settings;
using tls::ClientSettings;

void set_name(Setting& setting) { setting.parse_template(0, setting.frame.location->proxy.tls_name); }

constexpr Directive kRows[] = {
    {.name = "proxy_ssl_verify",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, kTls, &ClientSettings::verify>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether a server's certificate and name are verified; a server that fails is answered for with 502."},
    {.name = "proxy_ssl_trusted_certificate",
     .scopes = kHttpServerLocation,
     .set = store_tls_file<kProxy, kTls, &ClientSettings::trusted_ca>,
     .syntax = "file",
     .fallback_help = "the system's",
     .help = "Authorities, in PEM, that servers' certificates are to come from."},
    {.name = "proxy_ssl_verify_depth",
     .scopes = kHttpServerLocation,
     .set = store_number<kProxy, kTls, &ClientSettings::verify_depth>,
     .syntax = "number",
     .fallback = "1",
     .min = "0",
     .max = "100",
     .help = "Most certificates between a server's and its authority."},
    {.name = "proxy_ssl_crl",
     .scopes = kHttpServerLocation,
     .set = store_tls_file<kProxy, kTls, &ClientSettings::crl>,
     .syntax = "file",
     .help = "Revoked certificates, in PEM."},
    {.name = "proxy_ssl_name",
     .scopes = kHttpServerLocation,
     .set = set_name,
     .syntax = "name",
     .fallback_help = "the host of proxy_pass",
     .help = "The name that a server's certificate is to have, and that it is told with proxy_ssl_server_name."},
    {.name = "proxy_ssl_server_name",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, &ProxyAction::tls_server_name>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether the server is told the name in the handshake (SNI)."},
    {.name = "proxy_ssl_protocols",
     .scopes = kHttpServerLocation,
     .arity = at_least(1),
     .set = store_protocols<kProxy, kTls, &ClientSettings::protocols>,
     .syntax = "[TLSv1.2] [TLSv1.3]",
     .fallback = "TLSv1.2 TLSv1.3",
     .help = "Versions that are spoken."},
    {.name = "proxy_ssl_ciphers",
     .scopes = kHttpServerLocation,
     .set = store_ciphers<kProxy, kTls, &ClientSettings::ciphers>,
     .syntax = "list",
     .fallback = "DEFAULT",
     .help = "Ciphers of TLS 1.2, in OpenSSL's syntax."},
    {.name = "proxy_ssl_certificate",
     .scopes = kHttpServerLocation,
     .set = store_tls_file<kProxy, kTls, &ClientSettings::certificate>,
     .syntax = "file",
     .help = "A certificate, in PEM, to show to servers that ask for one."},
    {.name = "proxy_ssl_certificate_key",
     .scopes = kHttpServerLocation,
     .set = store_tls_file<kProxy, kTls, &ClientSettings::key>,
     .syntax = "file",
     .help = "Its key, in PEM, without a passphrase."},
    {.name = "proxy_ssl_session_reuse",
     .scopes = kHttpServerLocation,
     .set = store_flag<kProxy, kTls, &ClientSettings::reuse_sessions>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether sessions with a server are resumed."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> proxy_ssl_directives() {
  return kRows;
}

}  // namespace beamgate::config
