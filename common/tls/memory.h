// Memory of OpenSSL's: it overwrites keys before it gives their memory back, but not all that they can be had from.
//
// Errors     False: OpenSSL has allocated something before.
// Source     CRYPTO_set_mem_functions(3).  What OpenSSL 3.0 leaves: the traffic secrets in a session's object, the master
//            secret where a ticket was made of it, plaintext in buffers.
#pragma once

namespace beamgate::tls {

// For the process, before anything else of OpenSSL is called: every block is overwritten when it is given back.
[[nodiscard]] bool wipe_freed_memory();

}  // namespace beamgate::tls
