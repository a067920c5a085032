// Freed memory: whatever this process gives back is overwritten, so that what was secret isn't there any more.
//
// It is what operator delete does in this program, and what OpenSSL is told to do: OpenSSL overwrites keys itself, but
// leaves what they can be had from (3.0: the traffic secrets in a session's object, the master secret where a ticket was
// made of it, plaintext in buffers).
// Limits     Memory of other C libraries, over-aligned objects, and what was on the stack or in registers are not: Secret
//            (secret.h) is for what may be small enough to be within an object.  A build with a sanitizer has the
//            sanitizer's operators.
// Errors     False: OpenSSL has allocated something before.
// Source     CRYPTO_set_mem_functions(3), malloc_usable_size(3).
#pragma once

namespace beamgate {

// Once, before anything of OpenSSL is called.
[[nodiscard]] bool overwrite_freed_memory_of_openssl();

}  // namespace beamgate
