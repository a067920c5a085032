// Proxy target: which URI the backend is asked for, and how its redirects are turned back.
//
// Source   nginx's proxy_pass: without a URI the request's own target goes on as received; with one, the
//          part of the normalised path that the location matched is replaced by it.  What a rewrite has made of the
//          path goes on encoded again.  With variables, what they say is where it goes.  proxy_redirect default.
#pragma once

#include <string>
#include <string_view>

#include "common/config/model.h"
#include "common/tls/client_session.h"
#include "worker/http/exchange.h"

namespace beamgate::upstream {

// Where proxy_pass with variables leads this request.  Null: nowhere; `host` is then no upstream of its configuration.
std::shared_ptr<const http::ProxyDestination> find_destination(const http::Request& request, const record::Record& record,
                                                               std::string& host);

// Who answers a request, and the authority that it is known by: of its destination, or as its location says.
const std::shared_ptr<const config::Upstream>& upstream_of(const http::Request& request,
                                                           const config::BackendAction& action);
std::string_view host_of(const http::Request& request, const config::ProxyAction& proxy);

// Appends the request target, origin form.
void append_target(const http::Request& request, const config::ProxyAction& proxy, std::string& out);

// Rewrites a Location that points at the backend itself into one that points here; others stay, and it says
// false, as it does of a destination with variables.
bool rewrite_location(const config::Location& location, std::string& value);

// How the location's servers are spoken to for this request; without a context for proxy_pass http://...
tls::Target tls_target(const http::Request& request, const record::Record& record, const config::ProxyAction& proxy);

}  // namespace beamgate::upstream
