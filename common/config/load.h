// Load: from a file, or a text, to a complete Config, or to what is wrong with it.
//
// Blocking   Reads files and asks the resolver; done by the master at start and at a reload.  A worker gets
//            Config::dump and load_text() of it, which does neither.
// Errors     A LoadResult without config has at least one error.  Warnings stand beside either.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/built_in.h"
#include "common/config/diagnostic.h"
#include "common/config/model.h"

namespace beamgate::config {

inline constexpr std::string_view kDefaultPrefix = "/etc/beamgate";
inline constexpr std::string_view kDefaultFile = "beamgate.conf";
inline constexpr std::string_view kBuiltInName = "built-in configuration";

struct LoadOptions {
  std::string path;    // -c; empty: beamgate.conf in the prefix, or, without a prefix, the built-in text when there is none.
  std::string prefix;  // -p, which must be there; empty: /etc/beamgate.  What relative paths start from.
  std::string global_directives;  // -g.
  // False where asking the resolver is out of place, as in a worker's loop; Config::dump needs no names.
  bool resolve_names = true;
};

struct LoadResult {
  std::shared_ptr<const Config> config;  // Null when there are errors.
  std::vector<Diagnostic> errors;
  std::vector<Diagnostic> warnings;
  // Where the main context's directives stand, by name, and "listen unix:/path" of every server, by these words.
  std::map<std::string, Diagnostic> said;
  std::vector<Source> sources;  // Everything that was read, in the order of reading; what -T prints.

  bool ok() const { return config != nullptr; }
};

inline constexpr size_t kTextBytesMax = size_t{1} << 30;  // Of a Config::dump that another process has left.

LoadResult load(const LoadOptions& options);

// The same from a text; name stands for its file in messages.
LoadResult load_text(std::string_view text, const LoadOptions& options = {},
                     std::string name = "configuration");

// What relative paths start from: absolute, with a "/" at its end.
std::string prefix_of(const LoadOptions& options);

// The file that these options lead to; empty when it is the built-in text.
std::string configuration_path(const LoadOptions& options);

// The sources one after another, as -T prints them; secrets become "********" when they are to be masked.
std::string dump(const std::vector<Source>& sources, bool mask_secrets);

// "beamgate: [emerg] file:line:column: message" lines, errors after warnings.
std::string report(const LoadResult& result);

}  // namespace beamgate::config
