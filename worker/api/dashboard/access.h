// Access: which requests a dashboard believes to come from whom they claim.
//
// Local      Without a token only this machine is answered.  A proxy on the same machine speaks for strangers, so a
//            request is local only when nothing in it says that it was passed on: the socket's peer and the client that
//            set_real_ip_from has found are both loopback addresses, there is no PROXY header, and no field that proxies
//            add.  A proxy that adds none of them and names us by a loopback name can't be told from a client.
// Names      Of a local request the Host is a loopback name as well: a page of another site whose name resolves to
//            127.0.0.1 asks with that name (DNS rebinding).
// Own page   What changes something, or tells something, is asked for by a script of the dashboard itself: browsers say
//            which site sends a request (Sec-Fetch-Site, or Origin), and a page of another site can't add kScriptField
//            without being allowed to (the Fetch standard's CORS protocol), which nobody is.
#pragma once

#include "worker/http/exchange.h"
#include "worker/record/record.h"

namespace beamgate::api::dashboard {

constexpr const char* kScriptField = "X-BeamGate-Dashboard";

// Why the request does not surely come from this machine; null: it does.
const char* why_not_local(const http::Request& request, const record::Record& record);

// Sent by a page of this origin, or by no browser.
bool same_origin(const http::Request& request);

// Sent by a script of the dashboard.
bool from_own_script(const http::Request& request);

}  // namespace beamgate::api::dashboard
