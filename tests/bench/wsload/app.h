// App: the fastest webhook application that we can write, so that a benchmark measures the gateway.
//
// It answers every POST with 200 and the body it got, as text/plain or as it came, on keep-alive connections;
// it verifies nothing.  It prints "port N" once it listens and runs until its standard input ends.
#pragma once

#include <cstdint>

namespace beamgate::bench {

int run_app(uint16_t port);

}  // namespace beamgate::bench
