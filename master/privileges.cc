#include "master/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/capabilities.h"
#include "common/base/unique_fd.h"

namespace beamgate::master {

Result<Identity> find_identity(const std::string& user, const std::string& group) {
  Identity identity;
  if (user.empty() || geteuid() != 0) return identity;
  errno = 0;
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return Error{Code::NotFound, errno, "no such user"};
  identity.uid = entry->pw_uid;
  identity.gid = entry->pw_gid;
  identity.user = user;
  if (!group.empty()) {
    errno = 0;
    const ::group* found = getgrnam(group.c_str());
    if (found == nullptr) return Error{Code::NotFound, errno, "no such group"};
    identity.gid = found->gr_gid;
  }
  identity.change = true;
  return identity;
}

Result<void> drop_privileges(const Identity& identity) {
  drop_bounding_set();
  if (identity.change) {
    if (initgroups(identity.user.c_str(), identity.gid) != 0) return system_error("can't set the groups");
    if (setgid(identity.gid) != 0) return system_error("can't set the group");
    if (setuid(identity.uid) != 0) return system_error("can't set the user");
    if (identity.uid != 0 && setuid(0) == 0) return Error{Code::Denied, 0, "the user could be changed back"};
  }
  // Who stays root keeps its capabilities here: it was configured so, and the worker's sandbox takes them.
  if (geteuid() != 0) {
    if (auto dropped = drop_capabilities(); !dropped.ok()) return dropped;
  }
  return forbid_new_privileges();
}

Result<void> provide_file(const Identity& identity, const std::string& path) {
  if (!identity.change) return {};
  // No links are followed: the directory may be the workers' own, and they are trusted less than we are.
  UniqueFd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!file.valid()) return system_error("can't open the file");
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return system_error("can't look at the file");
  if (!S_ISREG(status.st_mode)) return {};  // A terminal or a pipe is what it is.
  if (status.st_uid == identity.uid) return {};  // Its group may be of somebody's choice, such as logrotate's.
  if (fchown(file.get(), identity.uid, identity.gid) != 0) return system_error("can't change the owner");
  return {};
}

}  // namespace beamgate::master
