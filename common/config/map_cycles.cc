#include "common/config/map_cycles.h"

#include <algorithm>

namespace beamgate::config {
namespace {

using Maps = std::map<std::string, std::shared_ptr<const ValueMap>, std::less<>>;

// Depth first; `path` holds the maps that are being looked up.  A map that was found sound is not looked at again.
bool depends_on_itself(const Maps& maps, const ValueMap& map, std::vector<const ValueMap*>& path,
                       std::set<const ValueMap*>& sound) {
  if (sound.contains(&map)) return false;
  if (std::find(path.begin(), path.end(), &map) != path.end()) return true;
  path.push_back(&map);
  std::vector<const Template*> texts = map.values();
  texts.push_back(&map.source);
  for (const Template* text : texts) {
    for (const Template::Part& part : text->parts()) {
      const auto used = part.variable ? maps.find(part.text) : maps.end();
      if (used != maps.end() && depends_on_itself(maps, *used->second, path, sound)) return true;
    }
  }
  path.pop_back();
  sound.insert(&map);
  return false;
}

}  // namespace

void refuse_map_cycles(Loader& loader) {
  const Maps& maps = loader.config->http.maps;
  std::set<const ValueMap*> sound;
  for (const auto& [name, map] : maps) {
    std::vector<const ValueMap*> path;
    if (!depends_on_itself(maps, *map, path, sound)) continue;
    loader.diagnostics.error(loader.maps_at[name], "the value of \"$" + name + "\" depends on itself");
    return;
  }
}

}  // namespace beamgate::config
