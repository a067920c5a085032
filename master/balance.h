// Balance: which worker gives how many of its connections to whom, as pure functions over their counts.
//
// Thread  Any.
#pragma once

#include <cstdint>
#include <vector>

namespace beamgate::master {

struct Load {
  uint16_t slot = 0;
  uint64_t connections = 0;
};

struct Share {
  uint16_t from = 0;
  uint16_t to = 0;
  uint32_t count = 0;
  bool operator==(const Share&) const = default;
};

// All within 10 % of the mean, or within one connection.
bool balanced(const std::vector<Load>& loads);

// From the heaviest to the lightest until all have the mean; nothing when they are balanced.  A pair appears once.
std::vector<Share> plan_balance(std::vector<Load> loads);

// Shares by which `leaving` gives all it has to those who stay, so that they end up as even as can be; each of
// those who stay appears at most once, those who get nothing not at all.  Their loads grow by what they get.
std::vector<Share> plan_departure(const Load& leaving, std::vector<Load>& staying);

}  // namespace beamgate::master
