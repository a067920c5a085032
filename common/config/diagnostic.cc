#include "common/config/diagnostic.h"

#include <algorithm>

namespace beamgate::config {

std::string Diagnostic::text() const {
  if (line == 0) return file + ": " + message;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

std::string place(const std::vector<Source>& sources, Position at) {
  if (at.source >= sources.size()) return "line " + std::to_string(at.line);
  return sources[at.source].path + ":" + std::to_string(at.line);
}

void Diagnostics::add(std::vector<Entry>& to, Position at, std::string message) {
  if (to.size() < kDiagnosticsMax) to.push_back({at, std::move(message)});
}

std::vector<Diagnostic> Diagnostics::sorted(std::vector<Entry> entries, const std::vector<Source>& sources) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.at < b.at; });
  std::vector<Diagnostic> out;
  for (Entry& entry : entries) {
    const bool known = entry.at.source < sources.size();
    out.push_back({known ? sources[entry.at.source].path : "configuration", entry.at.line, entry.at.column,
                   std::move(entry.message)});
  }
  return out;
}

}  // namespace beamgate::config
