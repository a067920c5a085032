// Material: certificates, keys and lists of revocation, from the bytes of files into a context.
//
// Errors   false, with a Problem that names the file; warnings don't make it false.
#pragma once

#include <vector>

#include "common/tls/handles.h"
#include "common/tls/settings.h"

namespace beamgate::tls {

using Problems = std::vector<Problem>;

// A certificate with its chain and its key; a key of another kind (RSA, EC) stands beside those before.
bool use_pair(SSL_CTX* context, const File& certificate, const File& key, Problems& problems);

// Certificates to trust; `named`: clients are told of them (SSL_CTX_set_client_CA_list(3)).
bool trust(SSL_CTX* context, const File& file, bool named, Problems& problems);

bool use_crl(SSL_CTX* context, const File& file, Problems& problems);

bool use_dh_parameters(SSL_CTX* context, const File& file, Problems& problems);

// Both kinds of contexts: which versions, and TLS 1.2's ciphers.
bool set_protocols(SSL_CTX* context, Protocols protocols);
bool set_ciphers(SSL_CTX* context, const std::string& ciphers, Problems& problems);

}  // namespace beamgate::tls
