#include "master/ctl/figures.h"

#include <cstdlib>

namespace beamgate::master {
namespace {

constexpr std::string_view kPrefix = "beamgate_";
constexpr std::string_view kPerWorker = "worker_connections{slot=\"";

}  // namespace

Figures::Figures(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
    const size_t space = line.rfind(' ');
    if (!line.starts_with(kPrefix) || space == line.npos) continue;
    values_[std::string(line.substr(kPrefix.size(), space - kPrefix.size()))] =
        strtod(std::string(line.substr(space + 1)).c_str(), nullptr);
  }
}

double Figures::of(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? 0 : found->second;
}

std::vector<unsigned> Figures::slots() const {
  std::vector<unsigned> out;
  for (auto at = values_.lower_bound(kPerWorker); at != values_.end() && at->first.starts_with(kPerWorker); ++at) {
    out.push_back(static_cast<unsigned>(strtoul(at->first.c_str() + kPerWorker.size(), nullptr, 10)));
  }
  return out;
}

}  // namespace beamgate::master
