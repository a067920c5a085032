#include "worker/http/try_files.h"

#include "worker/http/file_open.h"
#include "worker/http/static_files.h"

namespace beamgate::http {
namespace {

bool exists(const config::Location& location, std::string_view path, bool wants_directory) {
  std::string root;
  std::string relative;
  if (!locate_file(location, path, root, relative)) return false;
  const Result<OpenedFile> file = open_beneath(root, relative);
  return file.ok() && file.value().directory() == wants_directory;
}

}  // namespace

TryOutcome try_files(const config::TryFiles& files, Request& request, const record::Record& record) {
  for (const config::Template& name : files.names) {
    std::string path;
    expand(name, request, record, path);
    if (!path.starts_with('/')) path.insert(0, "/");
    const bool wants_directory = name.source().ends_with('/');
    // Without its last slash, so that a directory is answered as if it had been asked for like that.
    if (wants_directory && path.size() > 1) path.pop_back();
    if (!exists(*request.location, path, wants_directory)) continue;
    request.rewritten = request.rewritten || path != request.path;
    request.path = std::move(path);
    return {.found = true};
  }
  TryOutcome out{.status = files.status};
  if (out.status == 0) expand(files.elsewhere, request, record, out.elsewhere);
  return out;
}

}  // namespace beamgate::http
