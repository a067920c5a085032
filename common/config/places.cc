#include "common/config/places.h"

#include <unistd.h>

#include <string_view>
#include <vector>

#include "common/config/statement.h"

namespace beamgate::config {
namespace {

constexpr std::string_view kUnix = "unix:";

bool means_another(const LoadOptions& options) { return !options.path.empty() || !options.prefix.empty(); }

std::vector<Statement> read_what_can_be(const LoadOptions& options) {
  const std::string path = configuration_path(options);
  std::vector<Source> sources;
  Diagnostics diagnostics;
  std::vector<Statement> statements;
  StatementReader reader(sources, diagnostics, path.substr(0, path.rfind('/') + 1));
  if (!options.global_directives.empty()) reader.read_text("command line", options.global_directives + ';', statements);
  if (!path.empty()) reader.read_file(path, {}, statements);
  return statements;
}

}  // namespace

std::vector<std::string> usual_control_paths(const LoadOptions& options) {
  std::vector<std::string> out{prefix_of(options) + "control.sock"};
  if (!means_another(options)) out.insert(out.end(), {"/run/beamgate/control.sock", "/run/beamgate.sock"});
  return out;
}

std::vector<std::string> usual_pid_paths(const LoadOptions& options) {
  std::vector<std::string> out{prefix_of(options) + "beamgate.pid"};
  if (!means_another(options)) out.insert(out.end(), {"/run/beamgate/beamgate.pid", "/run/beamgate.pid"});
  return out;
}

std::string first_that_exists(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (access(path.c_str(), F_OK) == 0) return path;
  }
  return {};
}

Places find_places(const LoadOptions& options) {
  const std::string prefix = prefix_of(options);
  Places found{first_that_exists(usual_control_paths(options)), first_that_exists(usual_pid_paths(options))};
  const auto absolute = [&prefix](std::string_view path) {
    return path.starts_with('/') ? std::string(path) : prefix + std::string(path);
  };
  for (const Statement& statement : read_what_can_be(options)) {
    if (statement.block || statement.args.size() != 1) continue;
    const std::string_view value = statement.args[0].text;
    if (statement.name.text == "pid") found.pid_path = value == "off" ? std::string() : absolute(value);
    if (statement.name.text != "control") continue;
    if (value == "off") found.control_path.clear();
    if (value.starts_with(kUnix)) found.control_path = absolute(value.substr(kUnix.size()));
  }
  return found;
}

}  // namespace beamgate::config
