// Schema: the tables of directives, one per area; each stands in the file of its name.
#pragma once

#include <span>

#include "common/config/directive.h"

namespace beamgate::config {

std::span<const Directive> main_directives();       // schema_main.cc
std::span<const Directive> events_directives();     // schema_events.cc
std::span<const Directive> http_directives();       // schema_http.cc
std::span<const Directive> server_directives();     // schema_server.cc
std::span<const Directive> ssl_directives();        // schema_ssl.cc
std::span<const Directive> http2_directives();      // schema_http2.cc
std::span<const Directive> location_directives();   // schema_location.cc
std::span<const Directive> rewrite_directives();    // schema_rewrite.cc
std::span<const Directive> map_directives();        // schema_map.cc
std::span<const Directive> limits_directives();     // schema_limits.cc
std::span<const Directive> proxy_directives();      // schema_proxy.cc
std::span<const Directive> proxy_ssl_directives();  // schema_proxy_ssl.cc
std::span<const Directive> gzip_directives();       // schema_gzip.cc
std::span<const Directive> fastcgi_directives();    // schema_fastcgi.cc
std::span<const Directive> upstream_directives();   // schema_upstream.cc
std::span<const Directive> websocket_directives();  // schema_websocket.cc
std::span<const Directive> streams_directives();    // schema_streams.cc
std::span<const Directive> line_directives();       // schema_line.cc
std::span<const Directive> webhook_directives();    // schema_webhook.cc
std::span<const Directive> pusher_directives();     // schema_pusher.cc
std::span<const Directive> channels_directives();   // schema_channels.cc
std::span<const Directive> token_directives();      // schema_token.cc
std::span<const Directive> api_directives();        // schema_api.cc

}  // namespace beamgate::config
