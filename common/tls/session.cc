#include "common/tls/session.h"

namespace beamgate::tls {
namespace {

using Kind = HandshakeFailure::Kind;

Kind kind_of(int reason) {
  if (reason >= SSL_AD_REASON_OFFSET) return Kind::Alert;
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return Kind::Version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
      return Kind::Cipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return Kind::Protocol;
    default:
      return Kind::Malformed;
  }
}

}  // namespace

bool Session::attach(SSL_CTX* context) {
  ERR_clear_error();
  ssl_.reset(SSL_new(context));
  BIO* bio = ssl_ == nullptr ? nullptr : make_bio(wire);
  if (bio == nullptr) return false;
  SSL_set_bio(ssl_.get(), bio, bio);
  return true;
}

// What is wrong with the peer's certificate says more than that the handshake failed for it.
void Session::fail() {
  state_ = State::Failed;
  const unsigned long code = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl_.get());
  const char* reason = ERR_reason_error_string(code);
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
    reason = X509_verify_cert_error_string(verified);
  }
  failure_ = {kind_of(ERR_GET_REASON(code)), reason != nullptr ? reason : "the stream has ended"};
  ERR_clear_error();
}

void Session::shake_hands() {
  const size_t before = wire.output.size();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    state_ = State::Established;
    last_flight_bytes_ = wire.output.size() - before;
  } else if (SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) {
    fail();
  }
}

size_t Session::receive(std::span<const char> ciphertext, std::span<char> into) {
  wire.input = ciphertext;
  size_t got = 0;
  ERR_clear_error();
  if (state_ == State::Handshaking) {
    shake_hands();
    if (state_ == State::Established && stops_when_established_) return 0;
  }
  while (state_ == State::Established) {
    size_t now = 0;
    const int read = SSL_read_ex(ssl_.get(), into.data() + got, into.size() - got, &now);
    if (read == 1) {
      got += now;
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), read);
    if (why == SSL_ERROR_WANT_READ) break;
    if (why == SSL_ERROR_ZERO_RETURN) {
      state_ = State::Closed;
    } else {
      fail();
    }
  }
  wire.input = {};
  return got;
}

// The wire takes everything, so there is no waiting in here.
bool Session::send(std::string_view plaintext) {
  if (state_ != State::Established && state_ != State::Closed) return false;
  ERR_clear_error();
  while (!plaintext.empty()) {
    size_t written = 0;
    if (SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written) != 1) {
      fail();
      return false;
    }
    plaintext.remove_prefix(written);
  }
  return true;
}

void Session::close() {
  if (said_goodbye_ || (state_ != State::Established && state_ != State::Closed)) return;
  said_goodbye_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace beamgate::tls
