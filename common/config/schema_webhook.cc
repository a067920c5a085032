#include <algorithm>

#include "common/base/bytes.h"
#include "common/config/backend_values.h"
#include "common/config/network.h"
#include "common/config/schema.h"
#include "common/config/store.h"
#include "common/config/tls_contexts.h"
#include "common/config/tls_values.h"
#include "common/crypto/crypto.h"
#include "common/tls/client_context.h"

namespace beamgate::config {
namespace {

constexpr size_t kSecretsMax = 2;
constexpr size_t kForwardedFieldsMax = 64;

bool is_url(std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!url.starts_with(scheme)) continue;
    const std::string_view rest = url.substr(scheme.size());
    const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    return plain && !rest.empty() && rest[0] != '/' && rest[0] != '?' && rest[0] != '#';
  }
  return false;
}

void set_url(Setting& setting) {
  if (!is_url(setting.arg())) return setting.fail(0, "expected http://host[:port][/path] or https://...");
  setting.frame.webhook->url = setting.arg();
}

void set_unix_socket(Setting& setting) {
  std::string text = setting.arg();
  if (text.starts_with("unix:")) text.erase(0, 5);
  setting.replace(0, text);
  setting.frame.webhook->unix_socket = setting.path(0);
}

void set_fastcgi_pass(Setting& setting) {
  std::string authority = setting.arg();
  if (authority.starts_with("unix:")) {
    authority = "unix:" + setting.loader.absolute(authority.substr(5));
    setting.replace(0, authority);
  } else if (!has_port(authority)) {
    return setting.fail(0, "expected host:port or unix:path");
  }
  std::string error;
  if (!server_addresses(authority, 0, setting.loader.names, setting.frame.webhook->fastcgi, error)) {
    return setting.fail(0, error);
  }
  setting.replace(0, setting.frame.webhook->fastcgi[0].text);
}

// Standard Webhooks writes a secret as "whsec_" and base64; any other text is taken as it is.
void set_secret(Setting& setting) {
  static constexpr std::string_view kPrefix = "whsec_";
  std::vector<Secret>& secrets = setting.frame.webhook->secrets;
  Secret secret = setting.arg();
  if (secret.starts_with(kPrefix)) {
    const auto decoded = crypto::base64_decode(std::string_view(secret).substr(kPrefix.size()));
    if (!decoded.has_value()) return setting.fail(0, "what follows \"whsec_\" is not base64");
    secret = *decoded;
  }
  if (!setting.is_secret(secret)) return;
  if (secrets.size() >= kSecretsMax) return setting.fail(0, "more than two secrets");
  secrets.push_back(std::move(secret));
}

void set_trusted(Setting& setting) {
  tls::ClientSettings settings;
  if (!read_tls_file(setting, settings.trusted_ca)) return;
  std::vector<tls::Problem> problems;
  static_cast<void>(tls::ClientContext::make(settings, problems));
  report(setting.loader, setting.at(), problems);
  setting.frame.webhook->tls_ca = std::move(settings.trusted_ca);
}

void set_on_error(Setting& setting) {
  if (setting.arg() == "allow") {
    setting.frame.webhook->on_error = Webhook::OnError::Allow;
  } else if (setting.arg() == "deny") {
    setting.frame.webhook->on_error = Webhook::OnError::Deny;
  } else {
    setting.fail(0, "expected \"allow\" or \"deny\"");
  }
}

// Fields that BeamGate writes itself, or that describe the handshake's own framing.
bool is_reserved_field(std::string_view name) {
  for (const std::string_view prefix : {"beamgate-", "ce-", "webhook-", "content-", "sec-websocket-"}) {
    if (name.starts_with(prefix) && name != "sec-websocket-protocol") return true;
  }
  for (const std::string_view field :
       {"connection", "upgrade", "host", "transfer-encoding", "te", "keep-alive"}) {
    if (name == field) return true;
  }
  return false;
}

bool is_field_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

void set_forward_headers(Setting& setting) {
  std::vector<std::string>& fields = setting.frame.webhook->forward_headers;
  fields.clear();
  if (setting.count() == 1 && setting.arg() == "none") return;
  for (size_t i = 0; i < setting.count(); ++i) {
    const std::string name = to_lower(setting.arg(i));
    if (!is_field_name(name)) {
      setting.fail(i, "expected a field name, of letters, digits and \"-\"");
    } else if (is_reserved_field(name)) {
      setting.fail(i, "this field can't be forwarded");
    } else if (fields.size() >= kForwardedFieldsMax) {
      setting.fail(i, "more than " + std::to_string(kForwardedFieldsMax) + " fields");
    } else {
      fields.push_back(name);
    }
  }
}

void define_webhook(Setting& setting) {
  auto webhook = std::make_shared<Webhook>();
  webhook->name = setting.arg();
  Frame frame;
  frame.scope = kWebhook;
  frame.parent = &setting.frame;
  frame.webhook = webhook.get();
  setting.loader.set_fallbacks(frame);
  setting.loader.run_block(frame, setting.statement.children);
  if (webhook->name.empty() || webhook->name == "off") return setting.fail(0, "expected a name");
  if (!frame.said.contains("url")) setting.error("no \"url\" in webhook \"" + webhook->name + "\"");
  if (!webhook->fastcgi.empty()) {
    if (!frame.said.contains("script_filename")) {
      setting.error("no \"script_filename\" in webhook \"" + webhook->name + "\", for its \"fastcgi_pass\"");
    }
    if (frame.said.contains("unix_socket") || webhook->url.starts_with("https:")) {
      setting.error("\"fastcgi_pass\" in webhook \"" + webhook->name +
                    "\" says where to connect to: there can be no \"unix_socket\", and no https \"url\"");
    }
  }
  if (!frame.said.contains("secret") && webhook->secrets.empty()) {
    setting.warn_at(setting.statement.name.at,
                    "no \"secret\" in webhook \"" + webhook->name + "\": its calls are not signed");
  }
  if (!setting.loader.config->http.webhooks.emplace(webhook->name, webhook).second) {
    setting.error("duplicate webhook \"" + webhook->name + "\"");
  }
}

constexpr Directive kRows[] = {
    {.name = "webhook",
     .scopes = kHttp,
     .body = Body::Block,
     .phase = Phase::Define,
     .repeatable = true,
     .set = define_webhook,
     .syntax = "name",
     .help = "Defines an HTTP application that is told, by signed POST requests, what connections do."},
    {.name = "url",
     .scopes = kWebhook,
     .set = set_url,
     .syntax = "url",
     .help = "Where events are posted to, http or https.  Required."},
    {.name = "unix_socket",
     .scopes = kWebhook,
     .set = set_unix_socket,
     .syntax = "path",
     .help = "Connects to this unix socket; host and path of the url are sent as they are."},
    {.name = "fastcgi_pass",
     .scopes = kWebhook,
     .set = set_fastcgi_pass,
     .syntax = "host:port | unix:path",
     .help = "Calls script_filename through a FastCGI server, such as php-fpm, instead of HTTP.  The script sees the "
             "request as a web server would have passed it on: its fields as HTTP_..., host, path and query of the "
             "url as HTTP_HOST, REQUEST_URI and so on.  A name is resolved when the configuration is read, and its "
             "first address used."},
    {.name = "script_filename",
     .scopes = kWebhook,
     .set = store_path<&Webhook::script_filename>,
     .syntax = "path",
     .help = "The script that fastcgi_pass is to run, as the FastCGI server sees it."},
    {.name = "grip",
     .scopes = kWebhook,
     .set = store_flag<&Webhook::grip>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Speaks WebSocket-over-HTTP (GRIP), as Pushpin does, instead of CloudEvents: for \"websocket raw\", with "
             "applications that use a GRIP library.  They publish to a location with grip_publish.  A url that ends with "
             "its host, such as \"http://app\", takes path and query of each client's request, as Pushpin does; with any "
             "other, \"http://app/\" among them, all calls go there, and the field beamgate-uri says what the client has "
             "asked for."},
    {.name = "grip_key",
     .scopes = kWebhook,
     .set = store_word<&Webhook::grip_key>,
     .syntax = "text",
     .secret = true,
     .help = "Signs the Grip-Sig field that shows an application whose request it is; without, there is none."},
    {.name = "grip_issuer",
     .scopes = kWebhook,
     .set = store_word<&Webhook::grip_issuer>,
     .syntax = "text",
     .fallback = "pushpin",
     .help = "Who Grip-Sig says has signed it."},
    {.name = "secret",
     .scopes = kWebhook,
     .repeatable = true,
     .set = set_secret,
     .syntax = "whsec_base64 | text",
     .secret = true,
     .help = "Signs the requests (Standard Webhooks).  16 bytes or more once decoded.  Where two stand, "
             "requests carry the signatures of both, so that a secret can be replaced."},
    {.name = "timeout",
     .scopes = kWebhook,
     .set = store_time<&Webhook::timeout_ms>,
     .syntax = "time",
     .fallback = "10s",
     .min = "1ms",
     .max = "10m",
     .help = "Time for a whole call."},
    {.name = "connect_timeout",
     .scopes = kWebhook,
     .set = store_time<&Webhook::connect_timeout_ms>,
     .syntax = "time",
     .fallback = "2s",
     .min = "1ms",
     .max = "10m",
     .help = "Time to connect, TLS included."},
    {.name = "concurrency",
     .scopes = kWebhook,
     .set = store_number<&Webhook::concurrency>,
     .syntax = "number",
     .fallback = "128",
     .min = "1",
     .max = "65536",
     .help = "Calls in flight, for each worker."},
    {.name = "queue",
     .scopes = kWebhook,
     .set = store_number<&Webhook::queue>,
     .syntax = "number",
     .fallback = "10000",
     .min = "0",
     .max = "10000000",
     .help = "Calls that wait for a free place, for each worker; more are answered as on_error says."},
    {.name = "connection_queue",
     .scopes = kWebhook,
     .set = store_number<&Webhook::connection_queue>,
     .syntax = "number",
     .fallback = "16",
     .min = "1",
     .max = "65536",
     .help =
         "Messages of one connection that wait behind the one in flight; when they are so many, its socket "
         "is no longer read."},
    {.name = "reply_max",
     .scopes = kWebhook,
     .set = store_bytes<&Webhook::reply_bytes_max>,
     .syntax = "size",
     .fallback = "1m",
     .min = "1k",
     .max = "1g",
     .help = "Largest reply; a bigger one is a failed call."},
    {.name = "batch_max",
     .scopes = kWebhook,
     .set = store_number<&Webhook::batch_events_max>,
     .syntax = "number",
     .fallback = "100",
     .min = "1",
     .max = "10000",
     .help = "Most events in one batch of those that nobody waits for, such as disconnected."},
    {.name = "batch_delay",
     .scopes = kWebhook,
     .set = store_time<&Webhook::batch_delay_ms>,
     .syntax = "time",
     .fallback = "50ms",
     .min = "0",
     .max = "1h",
     .help = "How long such an event waits for others."},
    {.name = "event_queue",
     .scopes = kWebhook,
     .set = store_number<&Webhook::event_queue>,
     .syntax = "number",
     .fallback = "10000",
     .min = "1",
     .max = "10000000",
     .help = "Such events that wait to be delivered, for each worker; one more is dropped and counted."},
    {.name = "retry_delay",
     .scopes = kWebhook,
     .set = store_time<&Webhook::retry_delay_ms>,
     .syntax = "time",
     .fallback = "500ms",
     .min = "1ms",
     .max = "1h",
     .help = "Wait before such events are delivered again; doubles each time."},
    {.name = "retry_delay_max",
     .scopes = kWebhook,
     .set = store_time<&Webhook::retry_delay_max_ms>,
     .syntax = "time",
     .fallback = "1m",
     .min = "1ms",
     .max = "1d",
     .help = "The longest such wait."},
    {.name = "retry_time",
     .scopes = kWebhook,
     .set = store_time<&Webhook::retry_time_ms>,
     .syntax = "time",
     .fallback = "1h",
     .min = "0",
     .max = "30d",
     .help = "An event older than this is given up."},
    {.name = "breaker_failures",
     .scopes = kWebhook,
     .set = store_number<&Webhook::breaker_failures>,
     .syntax = "number",
     .fallback = "10",
     .min = "0",
     .max = "1000000",
     .help = "Failed calls in a row after which no call is made for a while; 0 always calls."},
    {.name = "breaker_cooldown",
     .scopes = kWebhook,
     .set = store_time<&Webhook::breaker_cooldown_ms>,
     .syntax = "time",
     .fallback = "5s",
     .min = "1ms",
     .max = "1h",
     .help = "How long no call is made; then a single one tries."},
    {.name = "on_error",
     .scopes = kWebhook,
     .set = set_on_error,
     .syntax = "allow | deny",
     .fallback = "deny",
     .help = "What a failed call means: allow goes on as if the application had agreed without a word, deny "
             "refuses the connection, or closes it."},
    {.name = "tls_verify",
     .scopes = kWebhook,
     .set = store_flag<&Webhook::tls_verify>,
     .syntax = "on | off",
     .fallback = "on",
     .help = "Whether the certificate of an https url is verified."},
    {.name = "tls_ca_file",
     .scopes = kWebhook,
     .set = set_trusted,
     .syntax = "file",
     .fallback_help = "the system's certificates",
     .help = "Trusted certificates, in PEM format."},
    {.name = "forward_headers",
     .scopes = kWebhook,
     .arity = at_least(1),
     .set = set_forward_headers,
     .syntax = "none | name ...",
     .fallback = "authorization cookie origin user-agent",
     .help = "Fields of the client's handshake that are passed on."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> webhook_directives() {
  return kRows;
}

}  // namespace beamgate::config
