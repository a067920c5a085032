#include "common/config/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/config/canonical.h"
#include "common/config/directive.h"
#include "common/config/doubts.h"
#include "common/config/embedded_file.h"
#include "common/config/identity.h"
#include "common/config/loader.h"
#include "common/config/map_cycles.h"
#include "common/config/statement.h"
#include "common/config/tls_contexts.h"

namespace beamgate::config {
namespace {

std::string current_directory() {
  char buffer[4096];
  return getcwd(buffer, sizeof buffer) == nullptr ? "/" : std::string(buffer) + "/";
}

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

// All servers at one address have one socket, hence the same options.
void share_listen_options(Http& http, const std::map<std::string, ListenSeen>& seen) {
  for (Server& server : http.servers) {
    for (Listen& listen : server.listens) {
      const Listen& shared = seen.at(listen.address.text).listen;
      listen.backlog = shared.backlog;
      listen.ipv6_only = shared.ipv6_only;
      listen.proxy_protocol = shared.proxy_protocol;
      listen.tls = shared.tls;
      listen.http2 = shared.http2;
    }
  }
}

// An address speaks one protocol; port 0 is another one for everybody.
void refuse_shared_lines(Loader& loader) {
  for (const auto& [text, at] : loader.line_listens) {
    if (loader.listens.contains(text) && !text.ends_with(":0")) loader.diagnostics.error(at, text + " is a server's address already");
  }
}

void wipe(std::vector<Statement>& statements) {
  for (Statement& statement : statements) {
    for (Word& word : statement.args) beamgate::wipe(word.text);
    wipe(statement.children);
  }
}

struct Reading {
  ~Reading() { wipe(statements); }  // Keys stand in them.

  LoadResult result;
  Diagnostics diagnostics;
  std::vector<Statement> statements;
};

// What -g says of a setting that may stand once in main counts instead of what the file says of it.
void override_with_global(std::vector<Statement>& statements, size_t global) {
  const auto overridden = [&](const Statement& statement) {
    const Directive* row = find_directive(statement.name.text, kMain);
    if (row == nullptr || row->body == Body::Block || (row->repeatable && row->name != "error_log")) return false;
    return std::any_of(statements.begin(), statements.begin() + static_cast<std::ptrdiff_t>(global),
                       [&](const Statement& said) { return said.name.text == statement.name.text; });
  };
  for (size_t i = statements.size(); i > global; --i) {
    if (overridden(statements[i - 1])) statements.erase(statements.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
}

void read_global_directives(Reading& reading, StatementReader& reader, const LoadOptions& options) {
  if (options.global_directives.empty()) return;
  // nginx forgives a missing ";" at the end of -g, as do we.
  std::string text = options.global_directives;
  const size_t last = text.find_last_not_of(" \t\r\n");
  if (last != std::string::npos && text[last] != ';' && text[last] != '}') text += ';';
  reader.read_text("command line", std::move(text), reading.statements);
}

void note(const std::vector<Statement>& statements, bool main, LoadResult& out) {
  for (const Statement& statement : statements) {
    const std::string& name = statement.name.text;
    const Position at = statement.name.at;
    const bool known = at.source < out.sources.size();
    Diagnostic place{known ? out.sources[at.source].path : "configuration", at.line, at.column, {}};
    const bool is_socket = name == "listen" && !statement.args.empty() && statement.args[0].text.starts_with("unix:");
    if (is_socket) {
      out.said.emplace(name + ' ' + statement.args[0].text, std::move(place));
    } else if (main) {
      out.said.emplace(name, std::move(place));
    }
    note(statement.children, false, out);
  }
}

LoadResult build(Reading& reading, const LoadOptions& options) {
  LoadResult& result = reading.result;
  if (!reading.diagnostics.has_errors()) {
    Loader loader(result.sources, reading.diagnostics, prefix_of(options));
    loader.names = options.resolve_names ? Names::Resolve : Names::Refuse;
    loader.run(reading.statements);
    if (!reading.diagnostics.has_errors()) {
      share_listen_options(loader.config->http, loader.listens);
      check_tls_listens(loader.config->http, loader);
      refuse_map_cycles(loader);
      refuse_shared_lines(loader);
      doubt_whole(loader);
    }
    if (!reading.diagnostics.has_errors()) {
      assign_ids(loader.config->http);
      embed_files(loader.files, reading.statements);
      loader.config->dump = canonical_text(reading.statements);
      note(reading.statements, true, result);
      result.config = loader.config;
    }
  }
  result.errors = reading.diagnostics.errors(result.sources);
  result.warnings = reading.diagnostics.warnings(result.sources);
  return std::move(result);
}

// A directory that was asked for has a configuration; the built-in one would be somebody else's.
std::string what_prefix_lacks(const LoadOptions& options, const std::string& path) {
  if (options.prefix.empty()) return {};
  struct stat status {};
  const std::string named = "\"" + options.prefix + "\", which -p names, ";
  if (stat(options.prefix.c_str(), &status) != 0) return named + "can't be used: " + strerror(errno);
  if (!S_ISDIR(status.st_mode)) return named + "is no directory";
  return path.empty() ? named + "has no " + std::string(kDefaultFile) + "; -c names another file" : std::string();
}

}  // namespace

std::string prefix_of(const LoadOptions& options) {
  std::string prefix = options.prefix.empty() ? std::string(kDefaultPrefix) : options.prefix;
  if (!prefix.ends_with('/')) prefix += '/';
  return prefix.starts_with('/') ? prefix : current_directory() + prefix;
}

std::string configuration_path(const LoadOptions& options) {
  const std::string prefix = prefix_of(options);
  if (!options.path.empty()) return options.path.starts_with('/') ? options.path : prefix + options.path;
  const std::string path = prefix + std::string(kDefaultFile);
  return access(path.c_str(), F_OK) == 0 ? path : std::string();
}

LoadResult load(const LoadOptions& options) {
  const std::string path = configuration_path(options);
  if (const std::string lack = what_prefix_lacks(options, path); !lack.empty()) {
    LoadResult refused;
    refused.errors.push_back({"command line", 0, 0, lack});
    return refused;
  }
  if (path.empty()) return load_text(built_in_configuration(), options, std::string(kBuiltInName));
  Reading reading;
  StatementReader reader(reading.result.sources, reading.diagnostics, directory_of(path));
  read_global_directives(reading, reader, options);
  const size_t global = reading.statements.size();
  reader.read_file(path, {static_cast<uint32_t>(reading.result.sources.size()), 0, 0}, reading.statements);
  override_with_global(reading.statements, global);
  return build(reading, options);
}

LoadResult load_text(std::string_view text, const LoadOptions& options, std::string name) {
  Reading reading;
  StatementReader reader(reading.result.sources, reading.diagnostics, prefix_of(options));
  read_global_directives(reading, reader, options);
  const size_t global = reading.statements.size();
  reader.read_text(std::move(name), std::string(text), reading.statements);
  override_with_global(reading.statements, global);
  return build(reading, options);
}

std::string report(const LoadResult& result) {
  std::string out;
  for (const Diagnostic& warning : result.warnings) out += "beamgate: [warn] " + warning.text() + "\n";
  for (const Diagnostic& error : result.errors) out += "beamgate: [emerg] " + error.text() + "\n";
  return out;
}

}  // namespace beamgate::config
