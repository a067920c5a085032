#include "common/tls/material.h"

#include <openssl/decoder.h>
#include <openssl/pem.h>

namespace beamgate::tls {
namespace {

bool fail(Problems& problems, const char* what, const File& file, std::string why = take_error()) {
  problems.push_back({file.path, std::string(what) + " \"" + file.path + "\": " + std::move(why), false});
  return false;
}

void warn(Problems& problems, const File& file, const char* what) {
  problems.push_back({file.path, "certificate \"" + file.path + "\" " + what, true});
}

// There is nobody to ask.
int no_passphrase(char*, int, int, void*) { return 0; }

// True at a PEM file's orderly end, after at least `read` objects.
bool ended(size_t read) {
  const unsigned long last = ERR_peek_last_error();
  const bool end = read > 0 && ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

void check_dates(const X509* certificate, const File& file, Problems& problems) {
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) warn(problems, file, "has expired");
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) warn(problems, file, "is not valid yet");
}

bool use_chain(SSL_CTX* context, const File& file, Problems& problems) {
  ERR_clear_error();
  const BioPtr bio = reader_of(file.bytes);
  const CertificatePtr own(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr));
  if (own == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return fail(problems, "cannot load certificate", file);
  }
  check_dates(own.get(), file, problems);
  SSL_CTX_clear_chain_certs(context);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    CertificatePtr link(next);
    if (SSL_CTX_add0_chain_cert(context, next) != 1) return fail(problems, "cannot load certificate", file);
    static_cast<void>(link.release());
  }
  return ended(1) || fail(problems, "cannot load certificate", file);
}

}  // namespace

bool use_pair(SSL_CTX* context, const File& certificate, const File& key, Problems& problems) {
  if (!use_chain(context, certificate, problems)) return false;
  const BioPtr bio = reader_of(key.bytes);
  const KeyPtr loaded(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (loaded == nullptr) return fail(problems, "cannot load certificate key", key);
  // Asked of the certificate first: the context would take a key of another kind, and then miss one of its certificate.
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), loaded.get()) == 1 &&
      SSL_CTX_use_PrivateKey(context, loaded.get()) == 1 && SSL_CTX_check_private_key(context) == 1) return true;
  return fail(problems, "cannot use certificate key", key,
              take_error() + ", for certificate \"" + certificate.path + "\"");
}

bool trust(SSL_CTX* context, const File& file, bool named, Problems& problems) {
  ERR_clear_error();
  const BioPtr bio = reader_of(file.bytes);
  size_t read = 0;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    const CertificatePtr authority(next);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), next) != 1 ||
        (named && SSL_CTX_add_client_CA(context, next) != 1)) {
      return fail(problems, "cannot load certificates", file);
    }
    ++read;
  }
  return ended(read) || fail(problems, "cannot load certificates", file);
}

bool use_crl(SSL_CTX* context, const File& file, Problems& problems) {
  ERR_clear_error();
  const BioPtr bio = reader_of(file.bytes);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  size_t read = 0;
  while (X509_CRL* next = PEM_read_bio_X509_CRL(bio.get(), nullptr, no_passphrase, nullptr)) {
    const CrlPtr list(next);
    if (X509_STORE_add_crl(store, next) != 1) return fail(problems, "cannot load the revocation list", file);
    ++read;
  }
  if (!ended(read)) return fail(problems, "cannot load the revocation list", file);
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return true;
}

bool use_dh_parameters(SSL_CTX* context, const File& file, Problems& problems) {
  ERR_clear_error();
  EVP_PKEY* parameters = nullptr;
  OSSL_DECODER_CTX* decoder = OSSL_DECODER_CTX_new_for_pkey(&parameters, "PEM", nullptr, "DH",
                                                            OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS, nullptr, nullptr);
  const BioPtr bio = reader_of(file.bytes);
  const bool decoded = decoder != nullptr && OSSL_DECODER_from_bio(decoder, bio.get()) == 1;
  OSSL_DECODER_CTX_free(decoder);
  if (decoded && SSL_CTX_set0_tmp_dh_pkey(context, parameters) == 1) return true;
  if (parameters != nullptr) EVP_PKEY_free(parameters);
  return fail(problems, "cannot load DH parameters", file);
}

bool set_protocols(SSL_CTX* context, Protocols protocols) {
  const int lowest = (protocols & kTls12) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
  const int highest = (protocols & kTls13) != 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
  return SSL_CTX_set_min_proto_version(context, lowest) == 1 && SSL_CTX_set_max_proto_version(context, highest) == 1;
}

bool set_ciphers(SSL_CTX* context, const std::string& ciphers, Problems& problems) {
  ERR_clear_error();
  if (ciphers.empty() || SSL_CTX_set_cipher_list(context, ciphers.c_str()) == 1) return true;
  problems.push_back({ciphers, "no usable cipher in \"" + ciphers + "\": " + take_error(), false});
  return false;
}

}  // namespace beamgate::tls
