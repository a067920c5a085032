#include "common/config/schema.h"
#include "common/config/store.h"

namespace beamgate::config {
namespace {

constexpr Scopes kHttpServer = kHttp | kServer;

constexpr Directive kRows[] = {
    {.name = "http2",
     .scopes = kHttpServer,
     .set = store_flag<&Server::http2>,
     .syntax = "on | off",
     .fallback = "off",
     .help = "Whether HTTP/2 is spoken beside HTTP/1.  With TLS, the client asks for it by ALPN, and the server that its "
             "name (SNI) chooses decides; without, it has to begin with the client preface (prior knowledge), and the "
             "default server of the address decides.  Off by default on both, as in nginx.  WebSockets come over it by an "
             "extended CONNECT (RFC 8441), to locations with websocket as well as through proxy_pass.  A connection that "
             "asks too much of the server (resets, SETTINGS, PING, empty frames, WINDOW_UPDATE, answers it doesn't read) is "
             "closed with ENHANCE_YOUR_CALM, and counted.  Connections with HTTP/2 stay with their worker, as those with "
             "TLS 1.2 do: they end with GOAWAY, their WebSockets with 1012."},
    {.name = "http2_max_concurrent_streams",
     .scopes = kHttpServer,
     .set = store_number<&Server::http2_streams_max>,
     .syntax = "number",
     .fallback = "128",
     .min = "1",
     .max = "10000",
     .help = "Requests that a connection may have under way at once; a client that begins more in spite of being told is "
             "sent away.  Of an address, "
             "its default server's counts."},
    {.name = "http2_body_preread_size",
     .scopes = kHttpServer,
     .set = store_bytes<&Server::http2_window_bytes>,
     .syntax = "size",
     .fallback = "64k",
     .min = "1k",
     .max = "16m",
     .help = "How much of a request's body may come before somebody takes it: a stream's window.  All streams of a "
             "connection share one of 1m.  Of an address, its default server's counts."},
};
static_assert(sound(kRows));

}  // namespace

std::span<const Directive> http2_directives() {
  return kRows;
}

}  // namespace beamgate::config
