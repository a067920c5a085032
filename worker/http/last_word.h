// Last word: what a client is told whose request was being answered when its worker died.
//
// An exchange is its worker's own and dies with it, and its connection is closed without an answer.  Where a protocol
// has a way to say "this is over, begin anew", its handler leaves that here while it keeps a client waiting, and takes
// it back before it answers; a successor says it, and closes the connection.
//
// State      Record::message, which HTTP has no other use for.
// Limits     Plain HTTP/1.x: of others, a successor can't say anything.
#pragma once

#include <string_view>
#include <vector>

#include "worker/http/exchange.h"
#include "worker/net/connections.h"

namespace beamgate::http {

// A 200 with this body.  Without memory for it nothing is said.
void leave_last_word(net::Connections& connections, record::Record& record, const std::vector<ResponseField>& fields,
                     std::string_view body);
void take_back_last_word(net::Connections& connections, record::Record& record);

// For the successor.  False: there is none.
bool say_last_word(net::Connections& connections, record::Record& record);

}  // namespace beamgate::http
