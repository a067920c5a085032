#include "common/tls/server_session.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "common/base/bytes.h"

namespace beamgate::tls {
namespace {

constexpr size_t kNameBytesMax = 255;

int server_session_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// RFC 6066 section 3: a list whose first entry is a host name.
std::string name_in(const unsigned char* extension, size_t bytes) {
  const auto number = [&](size_t at) { return static_cast<size_t>(extension[at] << 8 | extension[at + 1]); };
  if (bytes < 5 || number(0) != bytes - 2 || extension[2] != 0) return {};
  const size_t length = number(3);
  if (length == 0 || length > bytes - 5 || length > kNameBytesMax) return {};
  std::string name = to_lower(std::string_view(reinterpret_cast<const char*>(extension + 5), length));
  if (name.ends_with('.')) name.pop_back();
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return plain ? name : std::string();
}

}  // namespace

std::unique_ptr<ServerSession> ServerSession::open(std::shared_ptr<const ServerContext> context, Contexts& contexts,
                                                   uint32_t listen_id, const TicketKeyPage* tickets) {
  std::unique_ptr<ServerSession> session(new ServerSession(std::move(context), contexts, listen_id, tickets));
  return session->start() ? std::move(session) : nullptr;
}

bool ServerSession::start() {
  if (!attach(context_->native())) return false;
  SSL_set_accept_state(ssl());
  stops_when_established_ = true;
  return SSL_set_ex_data(ssl(), server_session_index(), this) == 1;
}

ServerSession::~ServerSession() { OPENSSL_cleanse(&protection_, sizeof protection_); }

void ServerSession::attend(SSL_CTX* context, bool movable) {
  SSL_CTX_set_client_hello_cb(context, on_client_hello, nullptr);
  if (movable) SSL_CTX_set_keylog_callback(context, on_secret);
}

ServerSession* ServerSession::of(const SSL* native) {
  return static_cast<ServerSession*>(SSL_get_ex_data(native, server_session_index()));
}

// Before anything of the hello is acted upon: a session to resume is looked for with the right server's settings.
int ServerSession::on_client_hello(SSL* hello, int* alert, void*) noexcept {
  ServerSession* self = of(hello);
  const unsigned char* extension = nullptr;
  size_t bytes = 0;
  if (SSL_client_hello_get0_ext(hello, TLSEXT_TYPE_server_name, &extension, &bytes) == 1) {
    self->server_name_ = name_in(extension, bytes);
  }
  *alert = SSL_AD_INTERNAL_ERROR;
  if (!self->choose_context()) return SSL_CLIENT_HELLO_ERROR;
  if (!self->context_->rejects()) return SSL_CLIENT_HELLO_SUCCESS;
  self->rejected_ = true;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_CLIENT_HELLO_ERROR;
}

HandshakeFailure ServerSession::failure() const {
  if (rejected_) return {HandshakeFailure::Kind::Rejected, "ssl_reject_handshake"};
  return Session::failure();
}

bool ServerSession::choose_context() {
  if (server_name_.empty()) return true;
  auto wanted = contexts_.context_of(listen_id_, server_name_);
  if (wanted == nullptr || wanted == context_) return true;
  context_ = std::move(wanted);
  return context_->rejects() || context_->take_over(ssl());
}

// The context that the session began with decides, as OpenSSL has it too.
std::vector<TicketKey> ServerSession::ticket_keys() const {
  if (!context_->ticket_keys().empty()) return context_->ticket_keys();
  return tickets_ != nullptr ? tickets_->keys() : std::vector<TicketKey>();
}

Negotiated ServerSession::negotiated() const {
  return Negotiated::of(ssl(), server_name_, context_->verify(), context_->trust());
}

// --- Going on without OpenSSL.

// "SERVER_TRAFFIC_SECRET_0", the client's random, the secret; both in hexadecimal.
void ServerSession::on_secret(const SSL* native, const char* line) noexcept {
  ServerSession* self = of(native);
  const std::string_view text(line);
  const std::string_view label = text.substr(0, text.find(' '));
  const bool own = label == "SERVER_TRAFFIC_SECRET_0";
  if (!own && label != "CLIENT_TRAFFIC_SECRET_0") return;
  uint8_t* to = own ? self->protection_.own_secret : self->protection_.peer_secret;
  size_t bytes = 0;
  const char* hex = line + text.rfind(' ') + 1;
  const bool read = OPENSSL_hexstr2buf_ex(to, kSecretBytesMax, &bytes, hex, '\0') == 1;
  (own ? self->has_own_secret_ : self->has_peer_secret_) = read;
}

const Protection* ServerSession::take_over() {
  if (state() != State::Established || SSL_version(ssl()) != TLS1_3_VERSION) return nullptr;
  const uint16_t suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl()));
  if (!is_movable(suite) || !has_peer_secret_ || !has_own_secret_ || SSL_has_pending(ssl()) != 0) return nullptr;
  // A client that wants shorter records (RFC 6066 section 4) gets them from OpenSSL.
  if (SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl())) != TLSEXT_max_fragment_length_DISABLED) return nullptr;
  // What ended the handshake on our side are session tickets: the first records that these secrets have protected.
  std::string_view flight = std::string_view(wire.output).substr(wire.output.size() - last_flight_bytes_);
  uint64_t records = 0;
  for (; !flight.empty(); ++records) {
    if (!RecordLayer::holds_record(flight) || flight[0] != 23) return nullptr;
    flight.remove_prefix(RecordLayer::kHeaderBytes + load_be<uint16_t>(flight.data() + 3));
  }
  protection_.suite = static_cast<Suite>(suite);
  protection_.progress.sealed = records;
  return &protection_;
}

}  // namespace beamgate::tls
