#include "common/tls/server_context.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "common/tls/material.h"
#include "common/tls/server_session.h"
#include "common/tls/ticket_sealing.h"

namespace beamgate::tls {
namespace {

// The protocols of ALPN that are spoken, in the order of preference; RFC 7301 section 3.1's encoding.
constexpr unsigned char kAlpn[] = "\x02h2\x08http/1.1\x08http/1.0";
constexpr unsigned kHttp2Bytes = 3;  // Of h2, the first of them.

int choose_alpn(SSL* session, const unsigned char** out, unsigned char* out_bytes, const unsigned char* offered,
                unsigned int offered_bytes, void*) noexcept {
  const unsigned skipped = ServerSession::of(session)->offers_http2() ? 0 : kHttp2Bytes;
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_bytes, kAlpn + skipped, sizeof kAlpn - 1 - skipped, offered,
                                          offered_bytes);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// What is wrong with a client's certificate is told in HTTP, and to the application.
int accept_any(int, X509_STORE_CTX*) noexcept { return 1; }

int acknowledge_name(SSL*, int*, void*) noexcept { return SSL_TLSEXT_ERR_OK; }

int mode_of(Verify verify) { return verify == Verify::Off ? SSL_VERIFY_NONE : SSL_VERIFY_PEER; }

std::string der_of(const ASN1_INTEGER* number) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(number)),
                     static_cast<size_t>(ASN1_STRING_length(number)));
}

// Serial numbers of the certificates that a good response speaks of; empty when it isn't one.
std::vector<std::string> serials_in(const std::string& response) {
  std::vector<std::string> serials;
  const auto* at = reinterpret_cast<const unsigned char*>(response.data());
  OCSP_RESPONSE* parsed = d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(response.size()));
  OCSP_BASICRESP* basic = nullptr;
  if (parsed != nullptr && OCSP_response_status(parsed) == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    basic = OCSP_response_get1_basic(parsed);
  }
  for (int i = 0; basic != nullptr && i < OCSP_resp_count(basic); ++i) {
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(OCSP_resp_get0(basic, i)));
    ASN1_INTEGER* serial = nullptr;
    if (OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id) == 1) serials.push_back(der_of(serial));
  }
  OCSP_BASICRESP_free(basic);
  OCSP_RESPONSE_free(parsed);
  ERR_clear_error();
  return serials;
}

}  // namespace

std::shared_ptr<const ServerContext> ServerContext::make(const ServerSettings& settings,
                                                         std::vector<Problem>& problems) {
  std::shared_ptr<ServerContext> made(new ServerContext());
  made->context_.reset(SSL_CTX_new(TLS_server_method()));
  if (made->context_ == nullptr) {
    problems.push_back({"", "cannot make a TLS context: " + take_error(), false});
    return nullptr;
  }
  return made->load(settings, problems) ? made : nullptr;
}

bool ServerContext::load(const ServerSettings& settings, std::vector<Problem>& problems) {
  SSL_CTX* context = context_.get();
  // An idle connection holds no buffers; compression and renegotiation are attacks by now.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (settings.prefer_server_ciphers) SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (!settings.tickets) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, static_cast<long>(settings.session_timeout_ms / 1'000));
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context, acknowledge_name);
  set_ticket_sealing(context);
  // Who has records padded wants those of OpenSSL.
  const bool pads = std::any_of(settings.commands.begin(), settings.commands.end(),
                                [](const auto& command) { return iequals(command.first, "RecordPadding"); });
  ServerSession::attend(context, settings.movable && !pads);
  handshake_timeout_ms_ = settings.handshake_timeout_ms;
  ticket_keys_ = settings.ticket_keys;
  rejects_ = settings.reject_handshake;
  groups_ = settings.groups;

  bool good = set_protocols(context, settings.protocols);
  good = set_ciphers(context, settings.ciphers, problems) && good;
  if (!groups_.empty() && SSL_CTX_set1_groups_list(context, groups_.c_str()) != 1) {
    problems.push_back({groups_, "no usable curve in \"" + groups_ + "\": " + take_error(), false});
    good = false;
  }
  for (size_t i = 0; i < settings.certificates.size(); ++i) {
    good = use_pair(context, settings.certificates[i], settings.keys[i], problems) && good;
  }
  if (settings.dh_parameters.named()) good = use_dh_parameters(context, settings.dh_parameters, problems) && good;
  good = load_verification(settings, problems) && good;
  good = load_staple(settings, problems) && good;
  good = run_commands(settings, problems) && good;
  name_sessions(settings);
  return good;
}

bool ServerContext::load_verification(const ServerSettings& settings, std::vector<Problem>& problems) {
  SSL_CTX* context = context_.get();
  verify_ = settings.verify;
  verify_depth_ = settings.verify_depth;
  bool good = true;
  if (settings.client_ca.named()) good = tls::trust(context, settings.client_ca, true, problems) && good;
  if (settings.trusted_ca.named()) good = tls::trust(context, settings.trusted_ca, false, problems) && good;
  if (settings.crl.named()) good = use_crl(context, settings.crl, problems) && good;
  SSL_CTX_set_verify(context, mode_of(verify_), accept_any);
  SSL_CTX_set_verify_depth(context, static_cast<int>(verify_depth_));
  return good;
}

bool ServerContext::load_staple(const ServerSettings& settings, std::vector<Problem>& problems) {
  if (!settings.stapling || !settings.staple.named()) return true;
  const File& file = settings.staple;
  const std::vector<std::string> serials = serials_in(file.bytes);
  if (serials.empty()) {
    problems.push_back({file.path, "\"" + file.path + "\" is no successful OCSP response", false});
    return false;
  }
  for (const File& certificate : settings.certificates) {
    const BioPtr bio = reader_of(certificate.bytes);
    const CertificatePtr own(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (own == nullptr) continue;
    const std::string serial = der_of(X509_get0_serialNumber(own.get()));
    if (std::find(serials.begin(), serials.end(), serial) != serials.end()) staple_serials_.push_back(serial);
  }
  if (staple_serials_.empty()) {
    problems.push_back({file.path, "the OCSP response \"" + file.path + "\" is for another certificate", true});
    return true;
  }
  staple_ = file.bytes;
  SSL_CTX_set_tlsext_status_cb(context_.get(), give_staple);
  SSL_CTX_set_tlsext_status_arg(context_.get(), this);
  return true;
}

// A server with two certificates has a response for one of them only.
int ServerContext::give_staple(SSL* session, void* argument) noexcept {
  const auto& self = *static_cast<const ServerContext*>(argument);
  const X509* shown = SSL_get_certificate(session);
  if (shown == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const std::string serial = der_of(X509_get0_serialNumber(shown));
  const auto& serials = self.staple_serials_;
  if (std::find(serials.begin(), serials.end(), serial) == serials.end()) return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(self.staple_.data(), self.staple_.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(session, static_cast<unsigned char*>(copy), static_cast<long>(self.staple_.size()));
  return SSL_TLSEXT_ERR_OK;
}

bool ServerContext::run_commands(const ServerSettings& settings, std::vector<Problem>& problems) {
  if (settings.commands.empty()) return true;
  SSL_CONF_CTX* runner = SSL_CONF_CTX_new();
  SSL_CONF_CTX_set_flags(runner, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER | SSL_CONF_FLAG_SHOW_ERRORS);
  SSL_CONF_CTX_set_ssl_ctx(runner, context_.get());
  bool good = true;
  for (const auto& [name, value] : settings.commands) {
    ERR_clear_error();
    if (SSL_CONF_cmd(runner, name.c_str(), value.c_str()) == 2) continue;
    problems.push_back({name + " " + value, "the TLS command \"" + name + "\" \"" + value + "\" failed: " + take_error(), false});
    good = false;
  }
  if (SSL_CONF_CTX_finish(runner) != 1) good = false;
  SSL_CONF_CTX_free(runner);
  return good;
}

// A client whose certificate one server has taken must not be known to another that trusts somebody else.
void ServerContext::name_sessions(const ServerSettings& settings) {
  std::string all;
  const auto add = [&all](const File& file) { all += crypto::sha256(file.bytes); };
  for (const File& certificate : settings.certificates) add(certificate);
  for (const File* file : {&settings.client_ca, &settings.trusted_ca, &settings.crl}) add(*file);
  all += static_cast<char>(settings.verify);
  all += std::to_string(settings.verify_depth);
  session_context_ = crypto::sha256(all);
  SSL_CTX_set_session_id_context(context_.get(), reinterpret_cast<const unsigned char*>(session_context_.data()),
                                 static_cast<unsigned>(session_context_.size()));
}

Trust ServerContext::trust() const {
  Trust trust;
  memcpy(trust.bytes, session_context_.data(), std::min(sizeof trust.bytes, session_context_.size()));
  return trust;
}

// SSL_set_SSL_CTX() exchanges the certificates and what is only looked up in the context; what SSL_new() had copied
// has to be set anew.
bool ServerContext::take_over(SSL* session) const {
  SSL_CTX* context = context_.get();
  if (SSL_set_SSL_CTX(session, context) == nullptr) return false;
  constexpr uint64_t kSwitched = SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET;
  SSL_clear_options(session, kSwitched);
  SSL_set_options(session, SSL_CTX_get_options(context) & kSwitched);
  SSL_set_num_tickets(session, SSL_CTX_get_num_tickets(context));
  SSL_set_verify(session, mode_of(verify_), accept_any);
  SSL_set_verify_depth(session, static_cast<int>(verify_depth_));
  const auto* sessions = reinterpret_cast<const unsigned char*>(session_context_.data());
  return SSL_set_min_proto_version(session, static_cast<int>(SSL_CTX_get_min_proto_version(context))) == 1 &&
         SSL_set_max_proto_version(session, static_cast<int>(SSL_CTX_get_max_proto_version(context))) == 1 &&
         SSL_set_session_id_context(session, sessions, static_cast<unsigned>(session_context_.size())) == 1 &&
         (groups_.empty() || SSL_set1_groups_list(session, groups_.c_str()) == 1);
}

}  // namespace beamgate::tls
