#include "worker/api/dashboard/dashboard.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/ipc/switches.h"
#include "worker/api/dashboard/access.h"
#include "worker/api/dashboard/session.h"
#include "worker/api/location_path.h"
#include "worker/api/read_only.h"
#include "worker/record/uid.h"

namespace beamgate::api::dashboard {
namespace {

constexpr EmbeddedFiles::Policies kPolicies{
    .content_security =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    // Without a referrer browsers would not say either which origin a form comes from.
    .referrer = "same-origin",
};
constexpr std::string_view kApi = "api/";
constexpr std::string_view kProblemPlace = "<!--problem-->";

void refuse(http::Exchange& exchange, uint16_t status, std::string_view why) {
  exchange.respond(status, "text/plain; charset=utf-8", std::string(why) + '\n',
                   {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
}

bool is_over_tls(const http::Request& request) {
  return request.tls != nullptr || (request.trusted_peer && iequals(request.field("X-Forwarded-Proto"), "https"));
}

// What the page needs of the API, and nothing by which more than one connection could be changed.
bool is_for_page(const Route& route, std::string_view method) {
  const bool reads = method == "GET" || method == "HEAD";
  switch (route.kind) {
    case Route::Kind::Connections:
    case Route::Kind::User:
    case Route::Kind::Channel:
      return reads;
    case Route::Kind::Connection:
      return reads || method == "DELETE";
    case Route::Kind::Method:
      return route.name == "channels" || route.name == "presence" || route.name == "presence_stats" ||
             route.name == "history";
    case Route::Kind::Unknown:
    case Route::Kind::Single:
    case Route::Kind::Batch:
    case Route::Kind::Tap:
      return false;
  }
  return false;
}

}  // namespace

Dashboard::Dashboard(Context& context, http::Exchanges& exchanges, ApiHandler& api, const StatusHandler& status)
    : context_(context),
      exchanges_(exchanges),
      api_(api),
      overview_(context, status),
      guard_(context),
      files_({kPageFiles, kPageFileCount}, kPolicies) {}

void Dashboard::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  const std::vector<Secret>& tokens = request.location->dashboard.tokens;
  if (tokens.empty()) {
    if (const char* why = why_not_local(request, exchange.record())) {
      context_.metrics.add(metrics::Metric::RequestsRefusedAccess);
      return refuse(exchange, 403, "This dashboard has no token and is answered on this machine only: " + std::string(why) + '.');
    }
  }
  const std::string_view below = path_below_location(request);
  if (below == "login") return receive_login(exchange);
  if (below == "logout") return log_out(exchange);
  const bool open = tokens.empty() || has_session(request);
  if (below.empty()) return answer_page(exchange, open);
  if (below != "overview" && !below.starts_with(kApi)) return answer_file(exchange, below);

  if (!open) {
    context_.metrics.add(metrics::Metric::RequestsRefusedToken);
    return refuse(exchange, 401, "No session, or one that has ended.");
  }
  if (!from_own_script(request)) return refuse(exchange, 403, "For the dashboard's own page.");
  if (below == "overview") return answer_overview(exchange);
  call_api(exchange, below.substr(kApi.size()));
}

void Dashboard::answer_page(http::Exchange& exchange, bool open) {
  if (!admit_reading(exchange)) return;
  const std::string& path = exchange.request().path;
  if (!path.ends_with('/')) {
    // The page names its files relative to a directory.
    return exchange.respond(308, "text/plain", "", {{"Location", path.substr(path.rfind('/') + 1) + '/'}});
  }
  if (!open) return show_login(exchange, 200, {});
  std::vector<http::ResponseField> fields = files_.security_fields();
  fields.push_back({"Cache-Control", "no-store"});
  exchange.respond(200, "text/html; charset=utf-8", files_.bytes_of("index.html"), std::move(fields));
}

void Dashboard::answer_file(http::Exchange& exchange, std::string_view name) {
  if (!admit_reading(exchange)) return;
  if (name.ends_with(".html")) return exchange.respond_status(404);  // Answered as what the page is, if at all.
  files_.answer(exchange, name);
}

void Dashboard::answer_overview(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const auto done = [this, id = exchange.id()](json::Value&& overview) {
    http::Exchange* asker = exchanges_.find(id);
    if (asker == nullptr) return;
    overview.set("session", !asker->request().location->dashboard.tokens.empty());
    asker->respond(200, "application/json", overview.dump(),
                   {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  };
  exchange.attach(std::make_unique<http::Attachment>());
  if (overview_.ask(done)) return;
  context_.metrics.add(metrics::Metric::RequestsRefusedBus);
  refuse(exchange, 503, "The bus is full.");
}

void Dashboard::call_api(http::Exchange& exchange, std::string_view below) {
  const http::Request& request = exchange.request();
  const Route route = route_of(below);
  if (!is_for_page(route, request.method)) return refuse(exchange, 404, "Not of the dashboard.");
  if (request.method == "DELETE") {
    context_.log.notice("dashboard_close", {{"connection", route.name}, {"client", request.remote_address}});
  }
  api_.serve(exchange, route);
}

// False: answered.
bool Dashboard::admit_form(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (request.method != "POST") {
    exchange.respond(405, "text/plain", "405 Method Not Allowed\n", {{"Allow", "POST"}});
    return false;
  }
  if (same_origin(request)) return true;
  refuse(exchange, 403, "For the dashboard's own page.");
  return false;
}

void Dashboard::receive_login(http::Exchange& exchange) {
  // Where a browser stands after a wrong token, and what it asks for when its user reloads the page, or types its address.
  const std::string_view method = exchange.request().method;
  if (method == "GET" || method == "HEAD") {
    return exchange.respond(303, "text/plain", "", {{"Location", "./"}, {"Cache-Control", "no-store"}});
  }
  if (!admit_form(exchange)) return;
  const auto run = [this](http::Exchange& complete, std::string&& body) { log_in(complete, http::form_value(body, "token")); };
  exchange.attach(http::collect_body(exchanges_, exchange.id(), context_.metrics, run));
}

void Dashboard::log_in(http::Exchange& exchange, std::string_view shown) {
  const http::Request& request = exchange.request();
  const std::string connection = record::format_uid(exchange.record().uid);
  if (!guard_.admits(request)) {
    context_.metrics.add(metrics::Metric::RequestsRefusedToken);
    context_.log.warn("dashboard_login_refused",
                      {{"connection", connection}, {"client", request.remote_address}, {"reason", "too many attempts"}});
    return show_login(exchange, 429, "Too many wrong tokens. Wait " + std::to_string(LoginGuard::kSecondsForOne) + " seconds, then try again.");
  }
  const std::string* token = find_token(shown, request.location->dashboard.tokens);
  if (token == nullptr) {
    guard_.failed(request);
    context_.metrics.add(metrics::Metric::RequestsRefusedToken);
    context_.log.warn("dashboard_login_refused",
                      {{"connection", connection}, {"client", request.remote_address}, {"reason", "wrong token"}});
    return show_login(exchange, 403, "That is not the token.");
  }
  context_.log.notice("dashboard_login", {{"connection", connection}, {"client", request.remote_address}});
  go_to_page(exchange, session_cookie(make_session(*token, wall_ms() / 1'000), kSessionSeconds, is_over_tls(request)));
}

bool Dashboard::has_session(const http::Request& request) const {
  const auto sessions = sessions_of(request, request.location->dashboard.tokens, wall_ms() / 1'000);
  return std::any_of(sessions.begin(), sessions.end(), [this](std::string_view session) {
    const int64_t begun_s = session_expires_s(session) - kSessionSeconds;
    return context_.switches == nullptr || !context_.switches->logouts.has(stable_hash(session), begun_s);
  });
}

// Whoever has a copy of the cookie is logged out with it.
void Dashboard::log_out(http::Exchange& exchange) {
  if (!admit_form(exchange)) return;
  const http::Request& request = exchange.request();
  const int64_t now_s = wall_ms() / 1'000;
  for (const std::string_view session : sessions_of(request, request.location->dashboard.tokens, now_s)) {
    if (context_.switches != nullptr) context_.switches->logouts.add(stable_hash(session), session_expires_s(session), now_s);
    context_.log.notice("dashboard_logout",
                        {{"connection", record::format_uid(exchange.record().uid)}, {"client", request.remote_address}});
  }
  go_to_page(exchange, session_cookie({}, 0, is_over_tls(exchange.request())));
}

void Dashboard::show_login(http::Exchange& exchange, uint16_t status, std::string_view problem) {
  std::string page(files_.bytes_of("login.html"));
  if (const size_t place = page.find(kProblemPlace); place != page.npos) {
    std::string text;
    if (!problem.empty()) text = "<p class=\"problem\" role=\"alert\">" + std::string(problem) + "</p>";
    page.replace(place, kProblemPlace.size(), text);
  }
  std::vector<http::ResponseField> fields = files_.security_fields();
  fields.push_back({"Cache-Control", "no-store"});
  if (status == 429) fields.push_back({"Retry-After", std::to_string(LoginGuard::kSecondsForOne)});
  exchange.respond(status, "text/html; charset=utf-8", page, std::move(fields));
}

// Relative, so that it holds behind a proxy with other paths.
void Dashboard::go_to_page(http::Exchange& exchange, std::string cookie) {
  exchange.respond(303, "text/plain", "", {{"Location", "./"}, {"Set-Cookie", std::move(cookie)}, {"Cache-Control", "no-store"}});
}

}  // namespace beamgate::api::dashboard
