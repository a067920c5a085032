// ClientContext: how backends are spoken to with TLS: whom to trust, what to show, which sessions to resume.
//
// Owner      config::ProxyAction, shared with the sessions that have begun with it.
// Thread     Made by whoever reads the configuration; sessions only in a worker's loop thread, in its own copy.
// Limits     kSessionsMax sessions to resume, one for each server and name.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/tls/handles.h"
#include "common/tls/settings.h"

namespace beamgate::tls {

class ClientContext {
 public:
  static constexpr size_t kSessionsMax = 1'024;

  // Null when a problem is no mere warning.
  static std::shared_ptr<const ClientContext> make(const ClientSettings& settings, std::vector<Problem>& problems);

  bool verifies() const { return verifies_; }
  SSL_CTX* native() const { return context_.get(); }

  // The session that a server has given last; null: none.
  SSL_SESSION* take_session(const std::string& server) const;  // The caller frees it.
  void keep_session(const std::string& server, SSL_SESSION* session) const;  // Takes it over.

 private:
  using SessionPtr = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;

  ClientContext() = default;
  bool load(const ClientSettings& settings, std::vector<Problem>& problems);

  ContextPtr context_;
  bool verifies_ = false;
  mutable std::map<std::string, SessionPtr> sessions_;  // A cache, no setting.
};

}  // namespace beamgate::tls
