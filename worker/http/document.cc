#include "worker/http/document.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "common/config/regex.h"

namespace beamgate::http {

void append_document_root(const config::Location& location, std::string_view, std::string& out) {
  out += location.file.alias.empty() ? location.file.root : location.file.alias;
}

void append_real_root(const config::Location& location, std::string_view path, std::string& out) {
  std::string root;
  append_document_root(location, path, root);
  const std::unique_ptr<char, decltype(&free)> real(realpath(root.c_str(), nullptr), &free);
  if (real != nullptr) out += real.get();
}

void append_request_filename(const config::Location& location, std::string_view path, std::string& out) {
  append_document_root(location, path, out);
  const size_t replaced = location.file.alias.empty() ? 0 : location.pattern.size();
  out += path.substr(std::min(replaced, path.size()));
}

ScriptName split_script(const config::FastcgiAction& fastcgi, std::string_view path) {
  ScriptName out{std::string(path), {}};
  if (fastcgi.split != nullptr) {
    config::Captures captures;
    const Result<bool> matched = fastcgi.split->match(path, &captures);
    if (matched.ok() && matched.value()) out = {std::string(captures.at(1)), std::string(captures.at(2))};
  }
  if (out.name.ends_with('/')) out.name += fastcgi.index;
  return out;
}

void append_script_name(const config::Location& location, std::string_view path, std::string& out) {
  out += split_script(location.fastcgi, path).name;
}

void append_path_info(const config::Location& location, std::string_view path, std::string& out) {
  out += split_script(location.fastcgi, path).path_info;
}

}  // namespace beamgate::http
