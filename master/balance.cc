#include "master/balance.h"

#include <algorithm>

namespace beamgate::master {
namespace {

constexpr uint64_t kTolerancePercent = 10;

uint64_t total(const std::vector<Load>& loads) {
  uint64_t sum = 0;
  for (const Load& load : loads) sum += load.connections;
  return sum;
}

bool lighter(const Load& a, const Load& b) { return a.connections < b.connections; }

uint32_t clamp_count(uint64_t count) { return static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX)); }

}  // namespace

bool balanced(const std::vector<Load>& loads) {
  const uint64_t sum = total(loads);
  const uint64_t count = loads.size();
  return std::all_of(loads.begin(), loads.end(), [&](const Load& load) {
    // Times `count`, so that the mean needs no rounding.
    const uint64_t scaled = load.connections * count;
    const uint64_t distance = scaled > sum ? scaled - sum : sum - scaled;
    return distance < count || distance * 100 <= sum * kTolerancePercent;
  });
}

std::vector<Share> plan_balance(std::vector<Load> loads) {
  std::vector<Share> out;
  if (balanced(loads)) return out;
  const uint64_t mean = total(loads) / loads.size();
  const uint64_t rest = total(loads) % loads.size();
  std::sort(loads.begin(), loads.end(), lighter);
  // The heaviest keep what the division leaves over.
  const auto target = [&](size_t i) { return mean + (i + rest >= loads.size() ? 1 : 0); };
  // The lightest is filled by the heaviest; each step brings one of both to its target.
  size_t light = 0, heavy = loads.size() - 1;
  while (light < heavy) {
    const uint64_t room = target(light) - std::min(target(light), loads[light].connections);
    const uint64_t surplus = loads[heavy].connections - std::min(loads[heavy].connections, target(heavy));
    const uint64_t count = std::min(room, surplus);
    if (count > 0) out.push_back({loads[heavy].slot, loads[light].slot, clamp_count(count)});
    loads[light].connections += count;
    loads[heavy].connections -= count;
    if (room == count) ++light;
    if (surplus == count && light < heavy) --heavy;
  }
  return out;
}

std::vector<Share> plan_departure(const Load& leaving, std::vector<Load>& staying) {
  std::vector<Share> out;
  if (staying.empty()) return out;
  // Water filling: the level up to which all lower ones rise.
  std::sort(staying.begin(), staying.end(), lighter);
  uint64_t rest = leaving.connections;
  size_t rising = 1;
  uint64_t sum = staying[0].connections;
  while (rising < staying.size() && staying[rising].connections * rising <= sum + rest) {
    sum += staying[rising++].connections;
  }
  const uint64_t level = (sum + rest) / rising;
  for (size_t i = 0; i < rising && rest > 0; ++i) {
    uint64_t count = level - std::min(level, staying[i].connections);
    if (i + 1 == rising) count = rest;  // With what the division has left over.
    count = std::min(count, rest);
    if (count == 0) continue;
    out.push_back({leaving.slot, staying[i].slot, clamp_count(count)});
    staying[i].connections += count;
    rest -= count;
  }
  return out;
}

}  // namespace beamgate::master
