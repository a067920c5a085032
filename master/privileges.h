// Privileges: as whom workers run.
//
// Only root can change it; anybody else runs workers as itself and gets a warning, as with nginx.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/result.h"

namespace beamgate::master {

struct Identity {
  bool change = false;  // False: stay who we are.
  uid_t uid = 0;
  gid_t gid = 0;
  std::string user;
};

// The identity of these names; an empty group means the user's own.  An empty user changes nothing, and
// whoever isn't root can't change it: names are not looked at then.
// NotFound: no such user, or no such group.
Result<Identity> find_identity(const std::string& user, const std::string& group);

// Irrevocable; for a worker, after the fork.  Supplementary groups become the user's, every capability goes,
// and no program that is executed later can regain any.
Result<void> drop_privileges(const Identity& identity);

// Makes a file that workers append to, when it isn't there, and gives it to them.
Result<void> provide_file(const Identity& identity, const std::string& path);

}  // namespace beamgate::master
