// From a request's path to the location that serves it: the server's script, the search, the location's script; and
// again, when a rewrite, error_page or try_files says so.
#include <algorithm>

#include "worker/http/dispatcher.h"
#include "worker/http/return_answer.h"
#include "worker/http/target.h"
#include "worker/record/uid.h"

namespace beamgate::http {
namespace {

using config::ErrorPage;

const ErrorPage* page_for(const config::Location& location, uint16_t status) {
  for (const ErrorPage& page : location.error_pages) {
    if (std::find(page.statuses.begin(), page.statuses.end(), status) != page.statuses.end()) return &page;
  }
  return nullptr;
}

// What the answer says; 0: what it would say by itself.
uint16_t answer_status(const ErrorPage& page, uint16_t error) {
  if (page.response == ErrorPage::kTheirs) return 0;
  if (page.response != ErrorPage::kKeep) return page.response;
  return error == kPlainOnTls ? 400 : error;
}

void add_slash(Exchange& exchange) {
  const Request& request = exchange.request();
  std::string target = encode_path(request.path) + "/";
  if (!request.query.empty()) (target += '?') += request.query;
  answer_redirect(exchange, 301, target);
}

}  // namespace

void Dispatcher::route(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  request.location = &request.server->fallback;
  const Direction direction = run_script(request.location->script, request, exchange.record());
  if (!answered(exchange, direction)) search(exchange);
}

void Dispatcher::search(ServedExchange& exchange) {
  Request& request = exchange.request_to_fill();
  Direction direction{Direction::Next::Search};
  while (direction.next == Direction::Next::Search) {
    const bool endless = ++request.searches > kSearchesMax;
    const uint16_t routed = endless ? uint16_t{500} : Router::route_to_location(request);
    arrive(exchange);
    if (endless) log_.error("redirection_cycle", {{"connection", record::format_uid(exchange.record().uid)}, {"client", request.remote_address}});
    if (routed == 301) return add_slash(exchange);
    if (routed != 0) return exchange.respond_status(routed);
    if (request.location->internal && !request.internal) return exchange.respond_status(404);
    direction = run_script(request.location->script, request, exchange.record());
  }
  arrive(exchange);  // An "if" may have changed the location.
  if (!answered(exchange, direction)) serve(exchange);
}

// The location's limits hold from now on, as far as nothing was done yet.
void Dispatcher::arrive(ServedExchange& exchange) {
  exchange.record().location_id = exchange.request().location->id;
  find_client(exchange.request_to_fill(), exchange.record());
  if (!exchange.was_run()) exchange.begin_body();
}

bool Dispatcher::answered(ServedExchange& exchange, const Direction& direction) {
  switch (direction.next) {
    case Direction::Next::Go:
    case Direction::Next::Search:
      return false;
    case Direction::Next::Answer:
      answer_return(exchange, *direction.answer);
      break;
    case Direction::Next::Redirect:
      answer_redirect(exchange, direction.status, direction.location);
      break;
    case Direction::Next::Failed:
      exchange.respond_status(500);
      break;
  }
  return true;
}

// False: there is none, or it has been too long a way already.
bool Dispatcher::go_to_named(ServedExchange& exchange, std::string_view name) {
  Request& request = exchange.request_to_fill();
  if (++request.searches > kSearchesMax || !Router::route_to_named(name, request)) {
    log_.error("named_location_not_found", {{"connection", record::format_uid(exchange.record().uid)}, {"name", name}});
    return false;
  }
  request.internal = true;
  arrive(exchange);
  const Direction direction = run_script(request.location->script, request, exchange.record());
  if (answered(exchange, direction)) return true;
  if (direction.next == Direction::Next::Search) {
    search(exchange);
  } else {
    serve(exchange);
  }
  return true;
}

void Dispatcher::go_elsewhere(ServedExchange& exchange, const TryOutcome& tried) {
  Request& request = exchange.request_to_fill();
  if (tried.status != 0) return exchange.respond_status(tried.status);
  if (tried.elsewhere.starts_with('@')) {
    if (!go_to_named(exchange, tried.elsewhere)) exchange.respond_status(500);
    return;
  }
  if (!go_to(tried.elsewhere, request)) return exchange.respond_status(500);
  request.internal = true;
  route(exchange);
}

bool Dispatcher::has_page(ServedExchange& exchange, uint16_t status) {
  const Request& request = exchange.request();
  if (request.location == nullptr || request.searches >= kSearchesMax) return false;
  if (request.last_page) return false;
  const ErrorPage* page = page_for(*request.location, status);
  return page != nullptr && (exchange.has_whole_body() || !page->target.source().starts_with('@'));
}

bool Dispatcher::show_page(ServedExchange& exchange, uint16_t status) {
  if (!has_page(exchange, status)) return false;
  Request& request = exchange.request_to_fill();
  const ErrorPage& page = *page_for(*request.location, status);
  std::string target;
  expand(page.target, request, exchange.record(), target);
  const bool named = target.starts_with('@');
  if (!named && !target.starts_with('/')) {
    exchange.set_answer_status(0);
    answer_redirect(exchange, is_redirect(page.response) ? page.response : uint16_t{302}, target);
    return true;
  }
  request.error_page = true;
  request.last_page = !request.location->recursive_error_pages;
  exchange.set_answer_status(answer_status(page, status));
  exchange.run_again(named ? ServedExchange::WithBody::Yes : ServedExchange::WithBody::No);
  if (named) return go_to_named(exchange, target);
  if (request.method != "HEAD") request.method = "GET";
  if (!go_to(target, request)) return false;
  request.internal = true;
  route(exchange);
  return true;
}

}  // namespace beamgate::http
