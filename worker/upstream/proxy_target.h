// Proxy target: which URI the backend is asked for, and how its redirects are turned back.
//
// Source   nginx's proxy_pass: without a URI the request's own target goes on as received; with one, the
//          part of the normalised path that the location matched is replaced by it.  What a rewrite has made of the
//          path goes on encoded again.  proxy_redirect default.
#pragma once

#include <string>
#include <string_view>

#include "common/config/model.h"
#include "common/tls/client_session.h"
#include "worker/http/exchange.h"

namespace beamgate::upstream {

// Appends the request target, origin form.
void append_target(const http::Request& request, const config::ProxyAction& proxy, std::string& out);

// Rewrites a Location that points at the backend itself into one that points here; others stay, and it says
// false.
bool rewrite_location(const config::Location& location, std::string& value);

// How the location's servers are spoken to for this request; without a context for proxy_pass http://...
tls::Target tls_target(const http::Request& request, const record::Record& record, const config::ProxyAction& proxy);

}  // namespace beamgate::upstream
