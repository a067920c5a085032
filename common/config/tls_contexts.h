// TLS contexts: made of what was said of servers and backends, and whether every address with ssl has one.
//
// Errors   At the directive that has named the file in question, else at the server.
#pragma once

#include "common/config/loader.h"

namespace beamgate::config {

// At the end of a server's block.
void make_tls(Setting& setting, Server& server);

// At the end of a location's block; does nothing unless it passes to https.
void make_proxy_tls(Setting& setting, ProxyAction& proxy);

// Reports what is wrong with settings of TLS: at the file's directive, else at `at`.
void report(Loader& loader, Position at, const std::vector<tls::Problem>& problems);

// Once all servers are known: the default server of each address with ssl needs a certificate, unless it rejects
// every handshake; then the others of the address need one.
void check_tls_listens(const Http& http, Loader& loader);

}  // namespace beamgate::config
