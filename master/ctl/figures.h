// Figures: a page of metrics, read again.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::master {

class Figures {
 public:
  // text: Prometheus' format, as our own location with "metrics" writes it.
  explicit Figures(std::string_view text);

  // name with its labels as they are written, without "beamgate_"; 0 when there is none.
  double of(const std::string& name) const;
  // The slots of living workers.
  std::vector<unsigned> slots() const;

 private:
  std::map<std::string, double, std::less<>> values_;
};

}  // namespace beamgate::master
