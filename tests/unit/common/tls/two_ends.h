// Two ends: a server's session and a client's in memory, certificates made on the spot, and the bytes between them.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/tls/client_context.h"
#include "common/tls/server_session.h"

namespace beamgate::tls {

inline std::string bytes_in(BIO* bio) {
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(bio, &text);
  return std::string(text, static_cast<size_t>(bytes));
}

// A certificate that has signed itself, and its key.
struct Pair {
  explicit Pair(const char* name) {
    const KeyPtr own(EVP_EC_gen("P-256"));
    const CertificatePtr made(X509_new());
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 7);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), own.get());
    X509_NAME* subject = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(made.get(), subject);
    X509_sign(made.get(), own.get(), EVP_sha256());
    const BioPtr pem(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(pem.get(), made.get());
    certificate = {std::string(name) + ".pem", bytes_in(pem.get())};
    const BioPtr secret(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(secret.get(), own.get(), nullptr, nullptr, 0, nullptr, nullptr);
    key = {std::string(name) + ".key", bytes_in(secret.get())};
  }

  File certificate;
  File key;
};

// Of the pair's server; change: what else is to be said.
template <typename Change>
std::shared_ptr<const ServerContext> server_context(const Pair& pair, Change change) {
  ServerSettings settings;
  settings.certificates = {pair.certificate};
  settings.keys = {pair.key};
  change(settings);
  std::vector<Problem> problems;
  auto made = ServerContext::make(settings, problems);
  EXPECT_TRUE(problems.empty());
  return made;
}

inline std::shared_ptr<const ServerContext> server_context(const Pair& pair) {
  return server_context(pair, [](ServerSettings&) {});
}

// shown: what the client shows of itself.
inline std::shared_ptr<const ClientContext> client_context(const File& trusted = {}, const Pair* shown = nullptr) {
  ClientSettings settings;
  settings.verify = trusted.named();
  settings.trusted_ca = trusted;
  if (shown != nullptr) {
    settings.certificate = shown->certificate;
    settings.key = shown->key;
  }
  std::vector<Problem> problems;
  return ClientContext::make(settings, problems);
}

class OneServer final : public Contexts {
 public:
  explicit OneServer(std::shared_ptr<const ServerContext> context) : context_(std::move(context)) {}
  std::shared_ptr<const ServerContext> context_of(uint32_t) override { return context_; }
  std::shared_ptr<const ServerContext> context_of(uint32_t, std::string_view name) override {
    asked.emplace_back(name);
    return context_;
  }
  bool speaks_http2(uint32_t, std::string_view) override { return http2; }

  std::unique_ptr<ServerSession> open(const TicketKeyPage* tickets = nullptr) {
    return ServerSession::open(context_, *this, 1, tickets);
  }

  std::vector<std::string> asked;
  bool http2 = false;

 private:
  std::shared_ptr<const ServerContext> context_;
};

// Carries everything from one to the other, `piece` bytes at a time; what was said is appended to `heard`.
inline bool carry(Session& from, Session& to, size_t piece, std::string& heard) {
  std::vector<char> into(64 << 10);
  const bool any = !from.wire.pending().empty();
  while (!from.wire.pending().empty()) {
    const std::string part(from.wire.pending().substr(0, piece));
    from.wire.took(part.size());
    std::span<const char> rest(part);
    do {  // A server stops behind its handshake, and is to be told what came with that.
      heard.append(into.data(), to.receive(rest, into));
      rest = to.unread();
    } while (!rest.empty());
  }
  return any;
}

}  // namespace beamgate::tls
