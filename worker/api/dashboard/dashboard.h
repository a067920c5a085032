// Dashboard: the built-in page of a location with "dashboard on", for whoever runs the node.
//
//   GET  PREFIX            the page, or its login form
//   POST PREFIX login      token=... as a form: a session cookie, and back to the page
//   POST PREFIX logout     the session ends, and the cookie goes
//   GET  PREFIX overview   overview.h, and "session": whether there is one to log out of
//   PREFIX api/...         what of the HTTP API the page needs (api_handler.h): channels, presence, presence_stats,
//                          history; connections, looked at and closed; users and channels, looked at
//   GET  PREFIX NAME       the page's files, of worker/api/dashboard/page/
//
// Owner      Worker; one per process.
// Thread     Worker loop thread only.
// Access     With a dashboard_token whoever has a session (session.h), without one this machine (access.h); overview and
//            api/ to scripts of the page alone.
// Errors     401 without a session, 403 to whom nothing is answered here, 404 for other names, 405 for other methods, 429
//            with Retry-After after too many wrong tokens (login_guard.h), 503 when the bus is full.
#pragma once

#include <string>
#include <string_view>

#include "worker/api/api_handler.h"
#include "worker/api/dashboard/login_guard.h"
#include "worker/api/dashboard/overview.h"
#include "worker/api/embedded_files.h"
#include "worker/api/status_handler.h"
#include "worker/context.h"
#include "worker/http/exchange.h"

namespace beamgate::api::dashboard {

extern const EmbeddedFile kPageFiles[];
extern const size_t kPageFileCount;

class Dashboard final : public http::Handler {
 public:
  Dashboard(Context& context, http::Exchanges& exchanges, ApiHandler& api, const StatusHandler& status);

  void handle(http::Exchange& exchange) override;

 private:
  void answer_page(http::Exchange& exchange, bool open);
  void answer_file(http::Exchange& exchange, std::string_view name);
  void answer_overview(http::Exchange& exchange);
  void call_api(http::Exchange& exchange, std::string_view below);
  void receive_login(http::Exchange& exchange);
  void log_in(http::Exchange& exchange, std::string_view token);
  bool has_session(const http::Request& request) const;
  void log_out(http::Exchange& exchange);
  void show_login(http::Exchange& exchange, uint16_t status, std::string_view problem);
  void go_to_page(http::Exchange& exchange, std::string cookie);
  bool admit_form(http::Exchange& exchange);

  Context& context_;
  http::Exchanges& exchanges_;
  ApiHandler& api_;
  Overview overview_;
  LoginGuard guard_;
  const EmbeddedFiles files_;
};

}  // namespace beamgate::api::dashboard
