// Ticket sealing: how session tickets are encrypted and opened (RFC 5077 section 4): AES-CBC, then HMAC-SHA-256.
#pragma once

#include "common/tls/handles.h"

namespace beamgate::tls {

// Sessions of this context take their keys from ServerSession::ticket_keys().
void set_ticket_sealing(SSL_CTX* context);

}  // namespace beamgate::tls
