// Document: which file or script a request names, for variables; whether there is one is not looked at.
//
// Source   nginx's $document_root, $realpath_root, $request_filename, fastcgi_split_path_info and fastcgi_index.
// `path` is the request's, decoded.
#pragma once

#include <string>
#include <string_view>

#include "common/config/model.h"

namespace beamgate::http {

void append_document_root(const config::Location& location, std::string_view path, std::string& out);
// Without symbolic links: asks the file system.  Nothing where there is no such directory.
void append_real_root(const config::Location& location, std::string_view path, std::string& out);
void append_request_filename(const config::Location& location, std::string_view path, std::string& out);

struct ScriptName {
  std::string name;
  std::string path_info;
};

// A pattern that doesn't match, or that was given up, splits nothing.
ScriptName split_script(const config::FastcgiAction& fastcgi, std::string_view path);
void append_script_name(const config::Location& location, std::string_view path, std::string& out);
void append_path_info(const config::Location& location, std::string_view path, std::string& out);

}  // namespace beamgate::http
