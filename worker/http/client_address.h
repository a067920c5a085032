// Client address: who the client is, by allow/deny rules and set_real_ip_from.
//
// Errors   Text that is no address leaves the address as it was: a header never widens trust.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/record/record.h"

namespace beamgate::http {

struct ClientAddress {
  int family = 0;  // AF_INET, AF_INET6, AF_UNIX.
  unsigned char bytes[16] = {};

  static ClientAddress of(const record::Record& record);
  // An IPv4 or IPv6 address, with or without a port ("1.2.3.4:5", "[::1]:5"), which must be one; false for anything
  // else.
  static bool parse(std::string_view text, ClientAddress& out);

  std::string text() const;  // "unix:" for a unix socket.
};

bool matches(const config::AccessRule& rule, const ClientAddress& address);

// By the first rule that matches; allowed when none does.
bool access_allowed(const std::vector<config::AccessRule>& rules, const ClientAddress& address);

// By the first rule that matches; not trusted when none does.
bool is_trusted(const std::vector<config::AccessRule>& rules, const ClientAddress& address);

}  // namespace beamgate::http
