// Gzip rules: which responses are compressed, and what that does to their heads.
//
// Source   nginx's gzip_... directives; RFC 9110 sections 8.8.1 (another coding is another representation: a strong
//          ETag becomes weak), 12.5.5 (Vary) and 14.3; RFC 9111 section 5.2.2.6 (no-transform).
// BREACH   A body that holds a secret beside what an attacker may choose leaks it by its length; the manual says so.
#pragma once

#include "common/config/model.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

// Whether the location compresses a response with this head for somebody: its length may then depend on the request.
bool may_be_gzipped(const config::Gzip& gzip, const ResponseHead& head);

// Whether another client might get another response: the same, and a 304 for such a one.
bool depends_on_encoding(const config::Gzip& gzip, const ResponseHead& head);

// Whether this client gets it.
bool wants_gzip(const config::Gzip& gzip, const Request& request, const ResponseHead& head, int64_t now_unix_s);

// Whether the client may be sent gzip at all; for files that are compressed already.
bool may_get_gzip(const config::Gzip& gzip, const Request& request, const ResponseHead& head, int64_t now_unix_s);

// The head of the compressed response: no length, no ranges, a weak ETag.
void become_gzip(ResponseHead& head);

// "Vary: Accept-Encoding", joined to what is there.
void vary_by_encoding(ResponseHead& head);

}  // namespace beamgate::http
